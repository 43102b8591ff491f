import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { JsonSyntaxError, parseJson } from '#sluice/config/json.js'

function failure(text: string): string {
  try {
    parseJson(text)
  } catch (error) {
    assert.ok(error instanceof JsonSyntaxError, String(error))
    return `${error.line}:${error.column}@${error.offset} ${error.message}`
  }
  return assert.fail(`parsed: ${text}`)
}

test('every mistake has its place', () => {
  const cases: [string, string][] = [
    ['', '1:1@0 expected a value, got the end of the text'],
    ['{', '1:2@1 expected a key in double quotes, got the end of the text'],
    ['{"a" 1}', "1:6@5 expected ':', got '1'"],
    ['{"a":1,}', "1:7@6 unexpected ',' before '}'"],
    ['[1, 2,\n]', "1:6@5 unexpected ',' before ']'"],
    ['{\n  a: 1\n}', "2:3@4 expected a key in double quotes, got 'a'"],
    ["{'a': 1}", "1:2@1 expected a key in double quotes, got ''': strings stand in double quotes"],
    ['{"a": 1 "b": 2}', "1:9@8 expected ',' or '}', got '\"'"],
    ['[1 2]', "1:4@3 expected ',' or ']', got '2'"],
    ['{"a": undefined}', "1:7@6 expected a value, got 'u'"],
    ['[01]', "1:3@2 expected ',' or ']', got '1'"],
    [
      '1 // one',
      "1:3@2 unexpected '/' behind the value: JSON has no comments; a configuration in .ts or .js may have them",
    ],
    ['"abc', '1:1@0 the string has no end'],
    ['["a\nb"]', '1:2@1 the string has no end'],
    ['"a\\x"', '1:3@2 unknown escape in a string'],
    ['"a\tb"', '1:3@2 control character in a string'],
    ['{"a": 1,\n "b": 2,\n "a": 3}', '3:2@19 the key "a" is there twice'],
    ['{"a": 1, "\\u0061": 3}', '1:10@9 the key "a" is there twice'],
    ['[\u{1f600}]', "1:2@1 expected a value, got '\u{1f600}'"],
    ['['.repeat(600), '1:514@513 more than 512 levels'],
  ]
  for (const [text, expected] of cases) assert.equal(failure(text), expected)
})

test('a byte order mark is no mistake', () => {
  assert.deepEqual(parseJson('\uFEFF{"a": 1}'), { a: 1 })
})

test('parses what JSON.parse parses, to the same value', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(0, 2, '\t'), (value, space) => {
      const text = JSON.stringify(value, null, space)
      assert.deepEqual(parseJson(text), JSON.parse(text))
    }),
  )
})

test('refuses what JSON.parse refuses', () => {
  const pieces = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '"a"',
    '1',
    '-',
    '.5',
    'e3',
    'true',
    ' ',
    '\\',
  )
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 10 }), (parts) => {
      const text = parts.join('')
      let valid = true
      try {
        JSON.parse(text)
      } catch {
        valid = false
      }
      // Equal keys are the one thing that only we refuse.
      if (valid && !/"a".*"a"/.test(text)) assert.deepEqual(parseJson(text), JSON.parse(text))
      else if (!valid) assert.throws(() => parseJson(text), JsonSyntaxError)
    }),
    { numRuns: 1000 },
  )
})

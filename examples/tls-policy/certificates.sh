#!/bin/sh
# Certificates to try the example with: sh certificates.sh FOLDER
# An authority (ca.pem), one for www.example.com and one for admin.example.com,
# and two for clients: alice, who may reach admin.example.com, and mallory.
set -eu
mkdir -p "$1"
cd "$1"

key() {
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$1"
}

# issue FILE COMMON_NAME EXTENSION: certificate and key in FILE.pem
issue() {
  key "$1.key"
  printf '%s\nbasicConstraints=CA:FALSE\n' "$3" >"$1.ext"
  openssl req -new -key "$1.key" -subj "/CN=$2" |
    openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.crt"
  cat "$1.crt" "$1.key" >"$1.pem"
  rm "$1.crt" "$1.key" "$1.ext"
}

key ca.key
openssl req -x509 -new -key ca.key -subj '/CN=Example authority' -days 30 -out ca.pem
issue www www.example.com 'subjectAltName=DNS:www.example.com,DNS:example.com'
issue admin admin.example.com 'subjectAltName=DNS:admin.example.com'
issue alice alice 'extendedKeyUsage=clientAuth'
issue mallory mallory 'extendedKeyUsage=clientAuth'

//! One declaration makes both the Rust constants and the rows that the
//! generator turns into TypeScript and into documentation.

/// One named constant.
#[derive(Debug)]
pub struct Item {
    /// Name in upper case, the same on both sides.
    pub name: &'static str,
    /// Value, never negative.
    pub value: i32,
    /// What it means, for the generated comments and docs.
    pub doc: &'static str,
}

/// A named set of constants.
#[derive(Debug)]
pub struct Group {
    /// Name of the TypeScript object.
    pub name: &'static str,
    /// What the group is for.
    pub doc: &'static str,
    /// True where items may share values (masks, layout numbers).
    pub masks: bool,
    /// The constants, in declaration order.
    pub items: &'static [Item],
}

macro_rules! constants {
    (
        $(#[doc = $doc:literal])+
        $module:ident => $ts:literal $(, masks = $masks:literal)? {
            $( $(#[doc = $item_doc:literal])+ $name:ident = $value:expr; )+
        }
    ) => {
        $(#[doc = $doc])+
        pub mod $module {
            #[allow(unused_imports)]
            use super::*;
            $( $(#[doc = $item_doc])+ pub const $name: i32 = $value; )+

            /// The same constants as rows.
            pub const GROUP: $crate::Group = $crate::Group {
                name: $ts,
                doc: concat!($($doc, "\n"),+),
                masks: false $(|| $masks)?,
                items: &[
                    $( $crate::Item {
                        name: stringify!($name),
                        value: $name,
                        doc: concat!($($item_doc, "\n"),+),
                    } ),+
                ],
            };
        }
    };
}
pub(crate) use constants;

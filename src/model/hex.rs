//! Addresses in JSON: `"0xc000012000"`, because doubles round 64-bit integers.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::memory::Addr;

/// An address of the target, a `"0x..."` string in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HexAddr(pub u64);

impl From<Addr> for HexAddr {
    fn from(addr: Addr) -> HexAddr {
        HexAddr(addr.0)
    }
}

impl fmt::Display for HexAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Serialize for HexAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HexAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HexAddr, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        text.strip_prefix("0x")
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .map(HexAddr)
            .ok_or_else(|| de::Error::custom(format_args!("{text:?} is not a \"0x...\" address")))
    }
}

impl JsonSchema for HexAddr {
    fn schema_name() -> Cow<'static, str> {
        "HexAddr".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An address in the target, hexadecimal with 0x.",
            "pattern": "^0x[0-9a-f]{1,16}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::HexAddr;

    #[test]
    fn an_address_is_a_string_in_json_and_comes_back() {
        let json = serde_json::to_string(&HexAddr(0xc000012000)).unwrap();
        assert_eq!(json, "\"0xc000012000\"");
        assert_eq!(serde_json::from_str::<HexAddr>(&json).unwrap(), HexAddr(0xc000012000));
        assert!(serde_json::from_str::<HexAddr>("\"12\"").is_err());
        assert!(serde_json::from_str::<HexAddr>("\"0x\"").is_err());
    }
}

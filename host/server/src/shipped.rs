//! The plugins that travel inside the binary: their components and their settings, as the build script made them.
//! Writing them into a plugin directory is the command line's.

/// A plugin that ships.
#[derive(Clone, Copy)]
pub struct Shipped {
    /// Its name.
    pub name: &'static str,
    /// The bytes of `NAME.wasm`.
    pub component: &'static [u8],
    /// The text of `NAME.toml`, with the grants that it needs.
    pub settings: &'static str,
}

// `SHIPPED`: every one of them, by name.
include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// The plugins that ship, by name.
pub fn all() -> &'static [Shipped] {
    SHIPPED
}

/// The one of this name.
pub fn find(name: &str) -> Option<&'static Shipped> {
    SHIPPED.iter().find(|shipped| shipped.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ships_is_components_with_settings() {
        let names: Vec<_> = all().iter().map(|shipped| shipped.name).collect();
        assert_eq!(
            names,
            [
                "alert",
                "audit",
                "authorize",
                "circuit-breaker",
                "fallback-cache",
                "feature-flag",
                "files",
                "metrics",
                "rate-limit",
                "redact",
                "retry-policy",
                "route",
                "schema-guard",
                "sim",
                "spinner",
                "text",
                "webhook",
            ]
        );
        for shipped in all() {
            // The component model's binary format: magic, then version 13 of layer 1.
            assert_eq!(shipped.component.get(..8), Some(b"\0asm\x0d\0\x01\0".as_slice()), "{}", shipped.name);
            assert!(shipped.settings.parse::<toml::Table>().is_ok(), "{}", shipped.name);
        }
    }

    #[test]
    fn no_component_knows_the_machine_that_built_it() {
        let home = std::env::var("HOME").unwrap_or_default();
        for shipped in all().iter().filter(|_| home.len() > 5) {
            assert!(!shipped.component.windows(home.len()).any(|bytes| bytes == home.as_bytes()), "{}", shipped.name);
        }
    }
}

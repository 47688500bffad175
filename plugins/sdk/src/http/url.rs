//! Owns taking a URL apart into what `wasi:http` wants of it.
//! Leaves judging the parts to the host.

use super::Error;

/// The parts of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    /// `http` instead of `https`.
    pub(super) plain: bool,
    /// Host, and port if it is named.
    pub(super) authority: &'a str,
    /// With the query; may be empty.
    pub(super) path_with_query: &'a str,
}

impl<'a> Url<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Error> {
        let invalid = |why: &str| Err(Error::Invalid(format!("URL '{text}' {why}")));
        let Some((scheme, rest)) = text.split_once("://") else { return invalid("does not begin with https:// or http://") };
        let plain = match scheme.to_ascii_lowercase().as_str() {
            "https" => false,
            "http" => true,
            _ => return invalid("is neither https nor http"),
        };
        // What stands behind a `#` is the reader's, and never sent.
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path_with_query) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() {
            return invalid("names no host");
        }
        Ok(Url { plain, authority, path_with_query })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_its_parts() {
        for (text, plain, authority, path_with_query) in [
            ("https://a.test", false, "a.test", ""),
            ("HTTP://a.test:8080/x/y?z=1#part", true, "a.test:8080", "/x/y?z=1"),
            ("https://[::1]:8443?q", false, "[::1]:8443", "?q"),
        ] {
            assert_eq!(Url::parse(text), Ok(Url { plain, authority, path_with_query }), "{text}");
        }
        for text in ["a.test/x", "ftp://a.test", "https:///x", ""] {
            assert!(matches!(Url::parse(text), Err(Error::Invalid(_))), "{text}");
        }
    }
}

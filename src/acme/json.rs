//! The limits on JSON from the wire, before anything of it is read.

use serde::de::DeserializeOwned;

use super::problem::Problem;

/// The deepest nesting of objects and arrays in a request. An ACME request needs four.
pub const MAX_JSON_DEPTH: usize = 16;

/// Reads a JSON object into a type. `what` names the part of the request, for the error.
///
/// # Errors
/// `malformed`, with the line and column, when it is no JSON, is nested too deeply, has trailing data, lacks a field,
/// or has a field of another type.
pub fn object<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, Problem> {
    // A derived reader takes an array for a struct, too.
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'{') {
        return Err(Problem::malformed(format!(
            "the {what} is no JSON object; it must start with \"{{\""
        )));
    }
    if let Some(offset) = too_deep(bytes) {
        return Err(Problem::malformed(format!(
            "the {what} nests objects or arrays deeper than {MAX_JSON_DEPTH} at byte {offset}; ACME never needs more than four"
        )));
    }
    // Members that are ignored would be skipped whatever they hold (RFC 8259 section 8.1).
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Problem::malformed(format!("the {what} is no UTF-8: {error}")))?;
    serde_json::from_str(text).map_err(|error| {
        Problem::malformed(format!("the {what} is not what it should be: {error}"))
    })
}

/// The offset of the bracket that goes too deep.
fn too_deep(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (offset, byte) in bytes.iter().enumerate() {
        match (in_string, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, false, b'"') => in_string = !in_string,
            (false, _, b'{' | b'[') => {
                depth += 1;
                if depth > MAX_JSON_DEPTH {
                    return Some(offset);
                }
            }
            (false, _, b'}' | b']') => depth = depth.saturating_sub(1),
            (_, _, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_is_no_utf_8_is_refused_even_in_a_member_that_is_ignored() {
        #[derive(Debug, serde::Deserialize)]
        struct Empty {}
        object::<Empty>(b"{\"x\":\"\xc3\xa4\"}", "payload").expect("an umlaut");
        let problem = object::<Empty>(b"{\"x\":\"\xbb\"}", "payload").unwrap_err();
        assert!(problem.detail.contains("no UTF-8"), "{problem}");
    }

    #[test]
    fn json_that_is_too_deep_is_refused_before_it_is_read() {
        let nested = |depth: usize| {
            format!(
                "{{\"a\":{}1{}}}",
                "[".repeat(depth - 1),
                "]".repeat(depth - 1)
            )
        };
        assert!(object::<serde_json::Value>(nested(MAX_JSON_DEPTH).as_bytes(), "body").is_ok());
        assert_eq!(
            object::<serde_json::Value>(nested(MAX_JSON_DEPTH + 1).as_bytes(), "body")
                .unwrap_err()
                .detail,
            "the body nests objects or arrays deeper than 16 at byte 20; ACME never needs more than four"
        );
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        let text = format!(r#"{{"a\"": "{}"}}"#, "[\\\"{".repeat(40));
        assert!(object::<serde_json::Value>(text.as_bytes(), "body").is_ok());
    }

    #[test]
    fn trailing_data_is_refused_with_its_place() {
        assert_eq!(
            object::<serde_json::Value>(b"{} {}", "body")
                .unwrap_err()
                .detail,
            "the body is not what it should be: trailing characters at line 1 column 4"
        );
    }
}

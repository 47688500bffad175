//! Single values: what plain YAML words mean in JSON's types, and how durations are written.
//! Where they stand, and what is done with them, is left to the readers.

use super::node::Value;
use crate::retry::MAX_DURATION_MS;

/// The value of an unquoted YAML word by the core schema of YAML 1.2.
pub(super) fn plain(text: &str) -> Result<Value, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => match number(text)? {
            Some(number) => Value::Number(number.into()),
            None => Value::String(Box::from(text)),
        },
    })
}

/// The JSON text of a YAML number; `None` if it is not one.
fn number(text: &str) -> Result<Option<String>, String> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(format!("{text}: JSON has no such number; quote it if it is text"));
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && !digits.is_empty()
            && digits.chars().all(|digit| digit.is_digit(radix))
        {
            return u64::from_str_radix(digits, radix).map(|value| Some(value.to_string())).map_err(|_| out_of_range(text));
        }
    }
    let Some(json) = decimal(unsigned) else { return Ok(None) };
    let json = format!("{sign}{json}");
    if !json.parse::<f64>().is_ok_and(f64::is_finite) {
        return Err(out_of_range(text));
    }
    Ok(Some(json))
}

fn out_of_range(text: &str) -> String {
    format!("{text}: number out of range; quote it if it is text")
}

/// `12`, `1.5`, `.5`, `1.`, `1e9` as JSON writes them.
fn decimal(text: &str) -> Option<String> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], &text[at..]),
        None => (text, ""),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_is_fine = exponent.is_empty() || {
        let power = exponent[1..].strip_prefix(['+', '-']).unwrap_or(&exponent[1..]);
        !power.is_empty() && digits(power)
    };
    let some_digits = !(whole.is_empty() && fraction.is_none_or(str::is_empty));
    if !(digits(whole) && fraction.is_none_or(digits) && exponent_is_fine && some_digits) {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        trimmed => trimmed,
    };
    Some(match fraction {
        None => format!("{whole}{exponent}"),
        Some("") => format!("{whole}.0{exponent}"),
        Some(fraction) => format!("{whole}.{fraction}{exponent}"),
    })
}

/// Milliseconds of a duration: `"500ms"`, `"30s"`, `"5m"`, `"1h"`, `"2d"`, parts together such as `"1h30m"`, and seconds without a unit.
///
/// # Errors
/// What it is instead, and how durations are written.
pub fn duration_ms(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return part_ms(text, "s").ok_or_else(|| not_a_duration(text)).and_then(bounded);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(|| not_a_duration(text))?;
        let end = rest[unit_at..].find(|c: char| !c.is_ascii_alphabetic()).map_or(rest.len(), |length| unit_at + length);
        total += part_ms(&rest[..unit_at], &rest[unit_at..end]).ok_or_else(|| not_a_duration(text))?;
        rest = &rest[end..];
    }
    bounded(total)
}

fn not_a_duration(text: &str) -> String {
    format!("'{text}' is not a duration; write seconds, or a text such as \"500ms\", \"30s\", \"5m\", \"1h30m\"")
}

fn part_ms(number: &str, unit: &str) -> Option<f64> {
    let unit_ms = match unit {
        "ms" => 1.0,
        "s" => 1_000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    };
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    number.parse::<f64>().ok().filter(|_| is_number).map(|number| number * unit_ms)
}

fn bounded(ms: f64) -> Result<u64, String> {
    if ms > MAX_DURATION_MS as f64 {
        return Err(format!("{} s is longer than the {} days allowed", ms / 1_000.0, MAX_DURATION_MS / 86_400_000));
    }
    Ok(ms.round() as u64)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// Each word, and what `read` makes of it.
    #[expect(clippy::needless_pass_by_value, reason = "expectations read as values")]
    fn check<T: std::fmt::Debug>(words: &[&str], read: impl Fn(&str) -> Result<T, String>, expected: Expect) {
        let lines = words.iter().map(|word| match read(word) {
            Ok(value) => format!("{word:<8} {value:?}\n"),
            Err(message) => format!("{word:<8} error: {message}\n"),
        });
        expected.assert_eq(&lines.collect::<String>());
    }

    #[test]
    fn durations_have_units_or_are_seconds() {
        let words = [
            "30", "0.25", "500ms", "30s", "5m", "1h30m", "2d", "1.5h", " 7s ", "0", "", "s", "5 m", "5x", "-3", "1e3", "1h30", "1.2.3s",
            "366d", "367d",
        ];
        check(
            &words,
            duration_ms,
            expect![[r#"
            30       30000
            0.25     250
            500ms    500
            30s      30000
            5m       300000
            1h30m    5400000
            2d       172800000
            1.5h     5400000
             7s      7000
            0        0
                     error: '' is not a duration; write seconds, or a text such as "500ms", "30s", "5m", "1h30m"
            s        error: 's' is not a duration; write seconds, or a text such as "500ms", "30s", "5m", "1h30m"
            5 m      error: '5 m' is not a duration; write seconds, or a text such as "500ms", "30s", "5m", "1h30m"
            5x       error: '5x' is not a duration; write seconds, or a text such as "500ms", "30s", "5m", "1h30m"
            -3       error: '-3' is not a duration; write seconds, or a text such as "500ms", "30s", "5m", "1h30m"
            1e3      error: '1e3' is not a duration; write seconds, or a text such as "500ms", "30s", "5m", "1h30m"
            1h30     error: '1h30' is not a duration; write seconds, or a text such as "500ms", "30s", "5m", "1h30m"
            1.2.3s   error: '1.2.3s' is not a duration; write seconds, or a text such as "500ms", "30s", "5m", "1h30m"
            366d     31622400000
            367d     error: 31708800 s is longer than the 366 days allowed
        "#]],
        );
    }

    #[test]
    fn plain_words_have_the_types_of_the_core_schema() {
        let words = ["", "~", "Null", "nULL", "TRUE", "yes", "0", "-0", "007", "+12", "0x1F", "0o17", "0b1", "1_000", "12:30"];
        check(
            &words,
            plain,
            expect![[r#"
                     Null
            ~        Null
            Null     Null
            nULL     String("nULL")
            TRUE     Bool(true)
            yes      String("yes")
            0        Number("0")
            -0       Number("-0")
            007      Number("7")
            +12      Number("12")
            0x1F     Number("31")
            0o17     Number("15")
            0b1      String("0b1")
            1_000    String("1_000")
            12:30    String("12:30")
        "#]],
        );
        let words = [
            ".5",
            "-.5",
            "1.",
            "1.e3",
            "1e3",
            "6E-2",
            "1e",
            ".",
            "-",
            "e3",
            "1e400",
            ".inf",
            "-.INF",
            ".nan",
            "0x",
            "0xfffffffffffffffff",
            "1.2.3",
        ];
        check(
            &words,
            plain,
            expect![[r#"
            .5       Number("0.5")
            -.5      Number("-0.5")
            1.       Number("1.0")
            1.e3     Number("1.0e3")
            1e3      Number("1e3")
            6E-2     Number("6E-2")
            1e       String("1e")
            .        String(".")
            -        String("-")
            e3       String("e3")
            1e400    error: 1e400: number out of range; quote it if it is text
            .inf     error: .inf: JSON has no such number; quote it if it is text
            -.INF    error: -.INF: JSON has no such number; quote it if it is text
            .nan     error: .nan: JSON has no such number; quote it if it is text
            0x       String("0x")
            0xfffffffffffffffff error: 0xfffffffffffffffff: number out of range; quote it if it is text
            1.2.3    String("1.2.3")
        "#]],
        );
    }
}

//! `mod("key") > "0"`.

use crate::{
    cli::{
        failure::{Failure, Status},
        go,
    },
    rpc::{Compare, CompareOperand, CompareResult, CompareTarget},
};

pub(super) fn parse(line: &[u8]) -> Result<Compare, Failure> {
    let invalid = |text: String| Failure::new(Status::InvalidInput, text);
    let shown = String::from_utf8_lossy(line);
    let Some(open) = line.iter().position(|byte| *byte == b'(') else {
        return Err(invalid(format!("malformed comparison: {shown}")));
    };
    let target = String::from_utf8_lossy(&line[..open]);
    let parts = Parts::read(&line[open + 1..]);
    let Parts { key: Some(key), operator: Some(operator), value: Some(value) } = parts else {
        return Err(invalid(format!("malformed comparison: {shown}; got {target}{}", parts.shown())));
    };
    let Some((target, operand)) = operand(&target, &value) else {
        return Err(invalid(format!("malformed comparison: {shown} (unknown target {target})")));
    };
    let operand = operand.ok_or_else(|| invalid(format!("invalid txn compare request: {shown}")))?;
    let result = match operator.as_str() {
        "=" => CompareResult::Equal,
        "!=" => CompareResult::NotEqual,
        ">" => CompareResult::Greater,
        "<" => CompareResult::Less,
        other => return Err(invalid(format!("malformed comparison: {shown} (unknown operator {other})"))),
    };
    Ok(Compare { result, target, key: key.into(), operand, ..Compare::default() })
}

/// What is compared, and with what: `None` inside if that is no number.
fn operand(target: &str, value: &[u8]) -> Option<(CompareTarget, Option<CompareOperand>)> {
    let number = |radix| go::parse_int(str::from_utf8(value).ok()?, radix).ok();
    Some(match target {
        "ver" | "version" => (CompareTarget::Version, number(10).map(CompareOperand::Version)),
        "c" | "create" => (CompareTarget::Create, number(10).map(CompareOperand::CreateRevision)),
        "m" | "mod" => (CompareTarget::Mod, number(10).map(CompareOperand::ModRevision)),
        "val" | "value" => (CompareTarget::Value, Some(CompareOperand::Value(value.into()))),
        "lease" => (CompareTarget::Lease, number(16).map(CompareOperand::Lease)),
        _ => return None,
    })
}

/// What stands behind the parenthesis, as far as it can be read: `"key") = "value"`.
#[derive(Default)]
struct Parts {
    key: Option<Vec<u8>>,
    operator: Option<String>,
    value: Option<Vec<u8>>,
}

impl Parts {
    fn read(text: &[u8]) -> Parts {
        let mut parts = Parts::default();
        let Some((key, rest)) = go::unquote(text.trim_ascii_start()) else { return parts };
        parts.key = Some(key);
        let Some(rest) = rest.strip_prefix(b")").and_then(blanks) else { return parts };
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        if end == 0 {
            return parts;
        }
        parts.operator = Some(String::from_utf8_lossy(&rest[..end]).into());
        parts.value = blanks(&rest[end..]).and_then(go::unquote).map(|(value, _)| value);
        parts
    }

    fn shown(&self) -> String {
        let text = |part: &Option<Vec<u8>>| go::quote(part.as_deref().unwrap_or_default());
        format!(
            "({}) {} {}",
            text(&self.key),
            self.operator.as_deref().unwrap_or_default(),
            text(&self.value)
        )
    }
}

/// Without its blanks, of which there must be one.
fn blanks(text: &[u8]) -> Option<&[u8]> {
    text.first().is_some_and(u8::is_ascii_whitespace).then(|| text.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_and_operator() {
        use CompareOperand::{CreateRevision, Lease, ModRevision, Value, Version};
        use CompareResult::{Equal, Greater, Less, NotEqual};
        let cases = [
            (r#"version("k") = "1""#, Equal, Version(1)),
            (r#"ver("k") != "-1" junk"#, NotEqual, Version(-1)),
            (r#"c("k") > "2""#, Greater, CreateRevision(2)),
            (r#"create("k")   <   "2""#, Less, CreateRevision(2)),
            (r#"m("k") = "3""#, Equal, ModRevision(3)),
            (r#"mod( `k`) = `3`"#, Equal, ModRevision(3)),
            (r#"val("\x6b") = "a) = \"b\"""#, Equal, Value(b"a) = \"b\"".into())),
            (r#"value("k") = """#, Equal, Value(b"".into())),
            (r#"lease("k") = "7f""#, Equal, Lease(0x7f)),
        ];
        for (line, result, operand) in cases {
            let found = parse(line.as_bytes()).map_err(|failure| failure.line).expect(line);
            assert_eq!((found.key, found.result, found.operand), (b"k".into(), result, operand), "{line}");
        }
    }
}

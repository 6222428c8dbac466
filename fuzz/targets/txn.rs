//! The text that `solder txn` reads.

use solder::{cli::parse_txn, rpc::*, types::Bytes};

use super::json::comes_back;

/// A transaction that was understood is understood again, as the same, when its parts are written in another way. What is
/// refused is refused in one line.
pub fn txn_text(data: &[u8]) {
    match parse_txn(data) {
        Ok(txn) => {
            comes_back(&txn);
            let text = written(&txn);
            assert_eq!(parse_txn(text.as_bytes()), Ok(txn), "{text}");
        }
        Err(why) => assert!(why.starts_with("Error: ") && !why.contains('\n'), "{why:?}"),
    }
}

/// One line for each part, every key and value in escapes.
fn written(txn: &TxnRequest) -> String {
    let compares: String = txn.compare.iter().map(compare).collect();
    let operations = |operations: &[RequestOp]| operations.iter().map(operation).collect::<String>();
    format!("{compares}\n{}\n{}\n", operations(&txn.success), operations(&txn.failure))
}

fn compare(compare: &Compare) -> String {
    let operator = match compare.result {
        CompareResult::Equal => "=",
        CompareResult::NotEqual => "!=",
        CompareResult::Greater => ">",
        CompareResult::Less => "<",
        CompareResult::Unknown(_) => panic!("the text has no way to ask for {compare:?}"),
    };
    let (target, operand) = match &compare.operand {
        CompareOperand::Version(number) => ("version", decimal(*number)),
        CompareOperand::CreateRevision(number) => ("create", decimal(*number)),
        CompareOperand::ModRevision(number) => ("mod", decimal(*number)),
        CompareOperand::Value(value) => ("value", quoted(value)),
        CompareOperand::Lease(id) => ("lease", format!("\"{}\"", hexadecimal(*id))),
        other => panic!("the text has no way to ask for {other:?}"),
    };
    format!("{target}({}) {operator} {operand}\n", quoted(&compare.key))
}

fn operation(operation: &RequestOp) -> String {
    match operation {
        RequestOp::Put(request) => put(request),
        RequestOp::Range(request) => get(request),
        RequestOp::DeleteRange(request) => {
            let keys = [Some(quoted(&request.key)), end(&request.range_end)];
            line(format!("del --range{}", flag(request.prev_kv, "prev-kv")), keys)
        }
        other => panic!("the text has no way to ask for {other:?}"),
    }
}

fn put(request: &PutRequest) -> String {
    let flags = [
        format!(" --lease={}", hexadecimal(request.lease)),
        flag(request.prev_kv, "prev-kv"),
        flag(request.ignore_value, "ignore-value"),
        flag(request.ignore_lease, "ignore-lease"),
    ];
    let value = (!request.ignore_value).then(|| quoted(&request.value));
    line(format!("put{}", flags.concat()), [Some(quoted(&request.key)), value])
}

fn get(request: &RangeRequest) -> String {
    let order = match request.sort_order {
        SortOrder::None => "",
        SortOrder::Ascend => "ascend",
        SortOrder::Descend => "descend",
        SortOrder::Unknown(_) => panic!("the text has no way to ask for {request:?}"),
    };
    let flags = [
        format!(" --limit={} --rev={}", request.limit, request.revision),
        format!(" --order={order} --sort-by={}", target(request.sort_target)),
        format!(" --consistency={}", if request.serializable { "s" } else { "l" }),
        flag(request.keys_only, "keys-only"),
        flag(request.count_only, "count-only"),
        format!(" --min-mod-rev={} --max-mod-rev={}", request.min_mod_revision, request.max_mod_revision),
        format!(" --min-create-rev={}", request.min_create_revision),
        format!(" --max-create-rev={}", request.max_create_revision),
    ];
    line(format!("get{}", flags.concat()), [Some(quoted(&request.key)), end(&request.range_end)])
}

fn target(target: SortTarget) -> &'static str {
    match target {
        SortTarget::Key => "key",
        SortTarget::Version => "version",
        SortTarget::Create => "create",
        SortTarget::Mod => "modify",
        SortTarget::Value => "value",
        SortTarget::Unknown(_) => panic!("the text has no way to ask for {target:?}"),
    }
}

fn flag(given: bool, name: &str) -> String {
    if given { format!(" --{name}") } else { String::new() }
}

/// Keys and values may begin with dashes.
fn line(command: String, words: [Option<String>; 2]) -> String {
    let words: String = words.into_iter().flatten().map(|word| format!(" {word}")).collect();
    format!("{command} --{words}\n")
}

fn end(range_end: &Bytes) -> Option<String> {
    (!range_end.is_empty()).then(|| quoted(range_end))
}

fn quoted(bytes: &[u8]) -> String {
    let escapes: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("\"{escapes}\"")
}

fn decimal(number: i64) -> String {
    format!("\"{number}\"")
}

fn hexadecimal(id: i64) -> String {
    let sign = if id < 0 { "-" } else { "" };
    format!("{sign}{:x}", id.unsigned_abs())
}

//! Owns the files that no Rust guest can be: plugins that break the canonical ABI or misbehave where Rust has no word, things that are no
//! component, and copies of a component that differ. Leaves building the others to `cargo`.

use std::path::Path;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// How a plugin of `handmade.wat` misbehaves; what is empty does what is right.
#[derive(Clone, Copy)]
struct Hand<'a> {
    name: &'a str,
    /// Before memory is given for an argument.
    realloc: &'a str,
    /// Before it describes itself.
    describe: &'a str,
    /// How many methods it says that it has, as the bytes of a number.
    methods: &'a str,
    /// In every role, before the answer.
    call: &'a str,
    /// Further functions.
    extra: &'a str,
    /// Data of the answers: a signal at 3072, an observer's result at 3104, a worker's at 3136; texts at 3200.
    answers: &'a str,
    /// Where check, observe and run say that their answers are.
    at: [u32; 3],
}

const WELL: Hand<'static> = Hand {
    name: "",
    realloc: "",
    describe: "",
    methods: ONE,
    call: "",
    extra: "",
    answers: NULL_RESULT,
    at: [SIGNAL_AT, OBSERVED_AT, RESULT_AT],
};
const ONE: &str = "\\01\\00\\00\\00";
const SIGNAL_AT: u32 = 3072;
const OBSERVED_AT: u32 = 3104;
const RESULT_AT: u32 = 3136;
/// The worker's result is `null`.
const NULL_RESULT: &str = r#"(data (i32.const 3144) "\80\0c\00\00\04\00\00\00") (data (i32.const 3200) "null")"#;

/// `fail`, an error and a result whose text is two bytes that no UTF-8 has.
const BAD_UTF8: &str = r#"(data (i32.const 3072) "\04\00\00\00\00\00\00\00\80\0c\00\00\02\00\00\00")
    (data (i32.const 3104) "\01\00\00\00\80\0c\00\00\02\00\00\00")
    (data (i32.const 3136) "\00\00\00\00\00\00\00\00\80\0c\00\00\02\00\00\00")
    (data (i32.const 3200) "\ff\fe")"#;

/// Every one of them.
const HANDS: [Hand<'static>; 19] = [
    Hand {
        name: "table-bomb",
        call: "(loop $again (br_if $again (i32.ne (table.grow $table (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable",
        ..WELL
    },
    Hand { name: "spin-start", extra: "(start $spin)", ..WELL },
    Hand { name: "spin-describe", describe: "(call $spin)", ..WELL },
    Hand { name: "spin-realloc", realloc: "(call $spin)", ..WELL },
    // A destructor of the answer: called by the host once it has read it.
    Hand {
        name: "spin-post",
        extra: r#"(func (export "cabi_post_trackside:plugin/control@0.1.0#check") (param i32) (call $spin))
                  (func (export "cabi_post_trackside:plugin/observer@0.1.0#observe") (param i32) (call $spin))
                  (func (export "cabi_post_trackside:plugin/worker@0.1.0#run") (param i32) (call $spin))"#,
        ..WELL
    },
    Hand { name: "realloc-outside", realloc: "(return (i32.const 0x7fff0000))", ..WELL },
    Hand { name: "realloc-odd", realloc: "(return (i32.const 5001))", ..WELL },
    Hand { name: "bad-utf8", answers: BAD_UTF8, ..WELL },
    // It was refused memory, made do without it, and then answered the same: what ended it has nothing to do with memory.
    Hand { name: "refused-utf8", call: "(drop (memory.grow (i32.const 60000)))", answers: BAD_UTF8, ..WELL },
    // The same, and then divided by nothing.
    Hand {
        name: "refused-divide",
        call: "(drop (memory.grow (i32.const 60000))) (drop (i32.div_u (i32.const 1) (i32.const 0)))",
        ..WELL
    },
    // It was refused memory for an argument, and gave an address where none is: what ended it is that.
    Hand {
        name: "refused-realloc",
        realloc: "(if (i32.eq (memory.grow (i32.const 60000)) (i32.const -1)) (then (return (i32.const 0x7fff0000))))",
        ..WELL
    },
    // It says that it has 2^32 - 1 methods.
    Hand { name: "endless-list", methods: "\\ff\\ff\\ff\\ff", ..WELL },
    // The same with a text of 2^32 - 1 bytes.
    Hand {
        name: "endless-text",
        answers: r#"(data (i32.const 3072) "\04\00\00\00\00\00\00\00\80\0c\00\00\ff\ff\ff\ff")
                    (data (i32.const 3104) "\01\00\00\00\80\0c\00\00\ff\ff\ff\ff")
                    (data (i32.const 3136) "\00\00\00\00\00\00\00\00\80\0c\00\00\ff\ff\ff\ff")"#,
        ..WELL
    },
    // The same with a text that begins where no memory is.
    Hand {
        name: "text-outside",
        answers: r#"(data (i32.const 3072) "\04\00\00\00\00\00\00\00\f0\ff\ff\ff\10\00\00\00")
                    (data (i32.const 3104) "\01\00\00\00\f0\ff\ff\ff\10\00\00\00")
                    (data (i32.const 3136) "\00\00\00\00\00\00\00\00\f0\ff\ff\ff\10\00\00\00")"#,
        ..WELL
    },
    // A signal, an error and a result that the contract does not have.
    Hand {
        name: "no-such-case",
        answers: r#"(data (i32.const 3072) "\4d") (data (i32.const 3104) "\4d") (data (i32.const 3136) "\4d")"#,
        ..WELL
    },
    Hand { name: "answer-outside", at: [0x7fff_0000; 3], ..WELL },
    // Two calls for each, sixty deep: it never ends, and never goes deep.
    Hand {
        name: "recurse-wide",
        call: "(drop (call $wide (i32.const 60)))",
        extra: "(func $wide (param $n i32) (result i32)
                  (if (result i32) (i32.eqz (local.get $n)) (then (i32.const 1))
                    (else (i32.add (call $wide (i32.sub (local.get $n) (i32.const 1))) (call $wide (i32.sub (local.get $n) (i32.const 1)))))))",
        ..WELL
    },
    // A page at a time, until it is refused.
    Hand { name: "grow-page", call: "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable", ..WELL },
    // Being refused memory does not stop it: what ends it is its time.
    Hand { name: "grow-on", call: "(loop $again (drop (memory.grow (i32.const 1))) (br $again))", ..WELL },
];

/// The hand-made files: a stem, and the bytes of its `.wasm`.
///
/// # Panics
/// When the contract in `wit/` has moved away from under `handmade.wat`.
pub(crate) fn files(workspace: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let mut files: Vec<_> = HANDS.iter().map(|hand| (hand.name, lifted(workspace, hand))).collect();
    let whole = files[0].1.clone();
    files.extend([
        ("core-module", core_module()),
        ("plain-text", plain_text()),
        ("empty", Vec::new()),
        ("truncated", whole[..whole.len() / 2].to_vec()),
        ("random", random(20_000)),
        ("other-world", other_world()),
        ("many-exports", many_exports(10_000)),
    ]);
    files
}

/// A component of `handmade.wat`.
fn lifted(workspace: &Path, hand: &Hand<'_>) -> Vec<u8> {
    let method = format!("{}/run", hand.name);
    let count = |text: &str| format!("\\{:02x}\\00\\00\\00", text.len());
    let [check, observe, run] = hand.at.map(|at| at.to_string());
    let text = [
        ("{NAME_BYTES}", count(hand.name).as_str()),
        ("{METHOD_BYTES}", &count(&method)),
        ("{METHODS}", hand.methods),
        ("{NAME}", hand.name),
        ("{ANSWERS}", hand.answers),
        ("{REALLOC}", hand.realloc),
        ("{EXTRA}", hand.extra),
        ("{DESCRIBE}", hand.describe),
        ("{CALL}", hand.call),
        ("{CHECK_AT}", &check),
        ("{OBSERVE_AT}", &observe),
        ("{RUN_AT}", &run),
    ]
    .into_iter()
    .fold(include_str!("handmade.wat").to_owned(), |text, (mark, put)| text.replace(mark, put));
    let mut module = wat::parse_str(text).unwrap_or_else(|error| panic!("{}: {error}", hand.name));
    let mut contract = Resolve::default();
    let (package, _) = contract.push_path(workspace.join("wit/trackside-plugin-0.1.0")).expect("the contract can be parsed");
    let world = contract.select_world(&[package], Some("plugin")).expect("the contract has a world for all three roles");
    embed_component_metadata(&mut module, &contract, world, StringEncoding::UTF8).expect("the contract can be embedded");
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module).expect("the module has its metadata");
    encoder.encode().expect("handmade.wat has the exports that the contract asks for")
}

/// A core module: WebAssembly, but no component.
fn core_module() -> Vec<u8> {
    wat::parse_str("(module (func (export \"run\")))").expect("this module is well formed")
}

/// Not WebAssembly at all.
fn plain_text() -> Vec<u8> {
    b"This file was meant to be a plugin.\n".to_vec()
}

/// What a component begins with, and then noise (xorshift, always the same).
fn random(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    });
    b"\0asm\x0d\0\x01\0".iter().copied().chain(noise.take(bytes)).collect()
}

/// A component of another world: a command.
fn other_world() -> Vec<u8> {
    wat::parse_str(
        r#"(component
             (core module $m (func (export "run") (result i32) (i32.const 0)))
             (core instance $i (instantiate $m))
             (func $run (result (result)) (canon lift (core func $i "run")))
             (instance $cli (export "run" (func $run)))
             (export "wasi:cli/run@0.2.0" (instance $cli)))"#,
    )
    .expect("this component is well formed")
}

/// A component that exports so many things, none of which anybody asked for.
fn many_exports(count: u32) -> Vec<u8> {
    let exports: String = (0..count).map(|number| format!("(export \"thing{number}\" (instance $nothing))")).collect();
    wat::parse_str(format!("(component (instance $nothing) {exports})")).expect("this component is well formed")
}

/// A component that is small and right, and takes a compiler longer than anybody waits: one function of so many loops, in each of which
/// every one of many variables changes.
///
/// # Panics
/// When the contract in `wit/` has moved away from under `handmade.wat`.
#[must_use]
pub fn compile_bomb(loops: u32) -> Vec<u8> {
    const VARIABLES: u32 = 100;
    let declared = "i64 ".repeat(VARIABLES as usize);
    let change = |number: u32| format!("(local.set {number} (i64.add (local.get {number}) (local.get {})))", (number + 1) % VARIABLES);
    let changes: String = (0..VARIABLES).map(change).collect();
    let body = format!("(loop {changes} (br_if 0 (i64.eqz (local.get 0))))").repeat(loops as usize);
    let extra = format!("(func $bomb (local {declared}) {body})");
    lifted(&crate::cargo::workspace(), &Hand { name: "compile-bomb", extra: &extra, ..WELL })
}

/// The component with a custom section that makes its digest its own, so that a hundred copies are a hundred plugin versions.
#[must_use]
pub fn distinct(component: &[u8], number: u32) -> Vec<u8> {
    const NAME: &[u8] = b"copy";
    let number = number.to_le_bytes();
    let mut bytes = component.to_vec();
    // A custom section: id 0, its size, the length of its name, its name, its content; all of it shorter than 128 bytes.
    bytes.extend([0, (1 + NAME.len() + number.len()) as u8, NAME.len() as u8]);
    bytes.extend(NAME);
    bytes.extend(number);
    bytes
}

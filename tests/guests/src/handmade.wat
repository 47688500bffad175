;; A plugin in all three roles, written by hand against the contract's canonical ABI, for what Rust cannot do. `handmade.rs` puts in, at
;; the marks in braces, how each of them misbehaves, and lifts it to a component.
(module
  (table $table 1 funcref)
  (memory (export "memory") 1)

  ;; `about` (236 bytes, of which all but these are zero: empty strings, no filters, no triggers).
  (data (i32.const 1024) "\00\08\00\00{NAME_BYTES}")              ;; name: at 2048
  (data (i32.const 1244) "\00\09\00\00{METHODS}")              ;; methods: one at 2304
  (data (i32.const 2048) "{NAME}")
  (data (i32.const 2112) "{NAME}/run")
  (data (i32.const 2304) "\40\08\00\00{METHOD_BYTES}")            ;; the method's name: at 2112

  ;; Answers at 3072 and up; what is not filled in is zero, which is `proceed`, `ok`, and an empty text.
  {ANSWERS}

  ;; Where the next argument goes: arguments are never given back, the memory is as short-lived as the guest.
  (global $next (mut i32) (i32.const 4096))

  (func $spin (loop $again (br $again)))

  (func (export "cabi_realloc") (param $old i32) (param $old_bytes i32) (param $align i32) (param $bytes i32) (result i32)
    (local $at i32)
    {REALLOC}
    (local.set $at (i32.and
      (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $next (i32.add (local.get $at) (local.get $bytes)))
    (block $fits
      (loop $grow
        (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
        (br_if $grow (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))
        unreachable))
    (memory.copy (local.get $at) (local.get $old) (local.get $old_bytes))
    (local.get $at))

  {EXTRA}

  (func (export "trackside:plugin/description@0.1.0#describe") (result i32) {DESCRIBE} (i32.const 1024))
  (func (export "trackside:plugin/control@0.1.0#check") (param i32) (result i32) {CALL} (i32.const {CHECK_AT}))
  (func (export "trackside:plugin/observer@0.1.0#observe") (param i32 i32 i64 i64 i32 i32 i64) (result i32)
    {CALL} (i32.const {OBSERVE_AT}))
  (func (export "trackside:plugin/worker@0.1.0#run")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32) (result i32) {CALL} (i32.const {RUN_AT})))

;; table-bomb: grows a table until it is refused, in all three roles; then traps.
;; Rust cannot grow a table, so this is written by hand against the contract's canonical ABI, and lifted by `handmade.rs`.
(module
  (table $table 1 funcref)
  (memory (export "memory") 1)

  ;; `about` (236 bytes, of which all but these are zero: empty strings, no filters, no triggers).
  (data (i32.const 1024) "\00\08\00\00\0a\00\00\00")          ;; name: 10 bytes at 2048
  (data (i32.const 1244) "\00\09\00\00\01\00\00\00")          ;; methods: 1 at 2304
  (data (i32.const 2048) "table-bomb")
  (data (i32.const 2080) "table-bomb/run")
  (data (i32.const 2304) "\20\08\00\00\0e\00\00\00")          ;; the method's name: 14 bytes at 2080

  ;; Where the next argument goes: arguments are never given back, the memory is as short-lived as the guest.
  (global $next (mut i32) (i32.const 4096))

  (func (export "cabi_realloc") (param $old i32) (param $old_bytes i32) (param $align i32) (param $bytes i32) (result i32)
    (local $at i32)
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

  (func $bomb (result i32)
    (loop $again
      (br_if $again (i32.ne (table.grow $table (ref.null func) (i32.const 1000)) (i32.const -1))))
    unreachable)

  (func (export "trackside:plugin/description@0.1.0#describe") (result i32) (i32.const 1024))
  (func (export "trackside:plugin/control@0.1.0#check") (param i32) (result i32) (call $bomb))
  (func (export "trackside:plugin/observer@0.1.0#observe") (param i32 i32 i64 i64 i32 i32 i64) (result i32) (call $bomb))
  (func (export "trackside:plugin/worker@0.1.0#run")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32) (result i32) (call $bomb)))

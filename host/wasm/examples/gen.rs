fn main(){ let text = r#"(component
            (core module $m (func (export "nothing")))
            (core instance $i (instantiate $m))
            (func (export "nothing") (canon lift (core func $i "nothing"))))"#;
 std::fs::write("/tmp/nothing.wasm", wat::parse_str(text).unwrap()).unwrap(); }

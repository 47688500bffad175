//! Owns the code that is generated from the contract in `wit/`: one module for what the host offers, one for each exported role.
//! Leaves everything that an author sees to the rest of the crate; nothing here is part of the SDK's interface.
#![expect(clippy::mem_forget, reason = "generated code")]

/// What the host offers. A component imports only the interfaces that its code reaches.
pub mod host {
    wit_bindgen::generate!({
        inline: "
            package trackside:sdk;
            world host {
                import trackside:plugin/log@0.1.0;
                import trackside:plugin/settings@0.1.0;
                import trackside:plugin/events@0.1.0;
                import trackside:plugin/kv@0.1.0;
                import trackside:plugin/schedule@0.1.0;
                import trackside:plugin/secrets@0.1.0;
                import trackside:plugin/progress@0.1.0;
            }
        ",
        world: "trackside:sdk/host",
        path: ["../../wit/trackside-plugin-0.1.0", "../../wit/trackside-packed"],
        generate_all,
        async: false,
    });
}

/// `wasi:http`, for those that call out.
pub mod http {
    wit_bindgen::generate!({
        inline: "
            package trackside:sdk;
            world calling-out { import wasi:http/outgoing-handler@0.2.12; }
        ",
        world: "trackside:sdk/calling-out",
        path: ["../../wit/trackside-plugin-0.1.0", "../../wit/trackside-packed"],
        generate_all,
        async: false,
    });
}

/// `description`: every plugin exports it.
pub mod description {
    wit_bindgen::generate!({
        inline: "
            package trackside:sdk;
            world describing { export trackside:plugin/description@0.1.0; }
        ",
        world: "trackside:sdk/describing",
        path: ["../../wit/trackside-plugin-0.1.0", "../../wit/trackside-packed"],
        with: { "trackside:plugin/types@0.1.0": crate::bindings::host::trackside::plugin::types },
        generate_all,
        async: false,
        pub_export_macro: true,
        export_macro_name: "export_description",
        runtime_path: "trackside_sdk::__private::wit_bindgen::rt",
    });
}

/// `control`, by record and by buffer.
pub mod control {
    wit_bindgen::generate!({
        inline: "
            package trackside:sdk;
            world controlling {
                export trackside:plugin/control@0.1.0;
                export trackside:packed/control@0.1.0;
            }
        ",
        world: "trackside:sdk/controlling",
        path: ["../../wit/trackside-plugin-0.1.0", "../../wit/trackside-packed"],
        with: { "trackside:plugin/types@0.1.0": crate::bindings::host::trackside::plugin::types },
        generate_all,
        async: false,
        pub_export_macro: true,
        export_macro_name: "export_control",
        runtime_path: "trackside_sdk::__private::wit_bindgen::rt",
    });
}

/// `observer`, by record and by buffer.
pub mod observer {
    wit_bindgen::generate!({
        inline: "
            package trackside:sdk;
            world observing {
                export trackside:plugin/observer@0.1.0;
                export trackside:packed/observer@0.1.0;
            }
        ",
        world: "trackside:sdk/observing",
        path: ["../../wit/trackside-plugin-0.1.0", "../../wit/trackside-packed"],
        with: { "trackside:plugin/types@0.1.0": crate::bindings::host::trackside::plugin::types },
        generate_all,
        async: false,
        pub_export_macro: true,
        export_macro_name: "export_observer",
        runtime_path: "trackside_sdk::__private::wit_bindgen::rt",
    });
}

/// `worker`.
pub mod worker {
    wit_bindgen::generate!({
        inline: "
            package trackside:sdk;
            world working { export trackside:plugin/worker@0.1.0; }
        ",
        world: "trackside:sdk/working",
        path: ["../../wit/trackside-plugin-0.1.0", "../../wit/trackside-packed"],
        with: { "trackside:plugin/types@0.1.0": crate::bindings::host::trackside::plugin::types },
        generate_all,
        async: false,
        pub_export_macro: true,
        export_macro_name: "export_worker",
        runtime_path: "trackside_sdk::__private::wit_bindgen::rt",
    });
}

/// `health`.
pub mod health {
    wit_bindgen::generate!({
        inline: "
            package trackside:sdk;
            world telling-health { export trackside:plugin/health@0.1.0; }
        ",
        world: "trackside:sdk/telling-health",
        path: ["../../wit/trackside-plugin-0.1.0", "../../wit/trackside-packed"],
        generate_all,
        async: false,
        pub_export_macro: true,
        export_macro_name: "export_health",
        runtime_path: "trackside_sdk::__private::wit_bindgen::rt",
    });
}

//! Owns the code that is generated from the contract in `wit/`: host traits for what plugins import, typed handles for what they export.
//! Leaves its meaning to the linker's files and to `convert`; nothing here is part of this crate's interface.

wasmtime::component::bindgen!({
    inline: "
        package trackside:host;
        world everything {
            import trackside:plugin/log@0.1.0;
            import trackside:plugin/settings@0.1.0;
            import trackside:plugin/events@0.1.0;
            import trackside:plugin/kv@0.1.0;
            import trackside:plugin/schedule@0.1.0;
            import trackside:plugin/secrets@0.1.0;
            import trackside:plugin/progress@0.1.0;
            export trackside:plugin/description@0.1.0;
            export trackside:plugin/observer@0.1.0;
            export trackside:plugin/control@0.1.0;
            export trackside:plugin/worker@0.1.0;
            export trackside:packed/control@0.1.0;
            export trackside:packed/observer@0.1.0;
        }
    ",
    world: "trackside:host/everything",
    path: ["../../wit/trackside-plugin-0.1.0", "../../wit/trackside-packed"],
    imports: { default: trappable },
    exports: {
        "trackside:plugin/worker@0.1.0.run": async,
    },
    ownership: Borrowing { duplicate_if_necessary: true },
    require_store_data_send: true,
});

/// The observer once more, for those that wait for the world outside: their calls are futures.
pub(crate) mod waiting {
    wasmtime::component::bindgen!({
        inline: "
            package trackside:host;
            world waiting {
                // So that an event has one type here and above: it is given as well as taken.
                import trackside:plugin/events@0.1.0;
                export trackside:plugin/observer@0.1.0;
                export trackside:packed/observer@0.1.0;
            }
        ",
        world: "trackside:host/waiting",
        path: ["../../wit/trackside-plugin-0.1.0", "../../wit/trackside-packed"],
        exports: { default: async },
        with: {
            "trackside:plugin/types@0.1.0": crate::bindings::trackside::plugin::types,
            "trackside:plugin/events@0.1.0": crate::bindings::trackside::plugin::events,
        },
        ownership: Borrowing { duplicate_if_necessary: true },
        require_store_data_send: true,
    });
}

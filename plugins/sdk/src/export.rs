//! Owns `export!`, which makes a component of a plugin, and the adapters between the contract's two shapes and the author's functions.
//! Leaves the roles themselves to their own files.

use crate::bindings::{control, health, host::trackside::plugin::types, observer};
use crate::event::Events;
use crate::packed::{self, Field, View};
use crate::{Context, Control, Delivery, Description, Event, Failure, Health, Methods, Observer, Origin, Point, Signal, Task};
use std::cell::Cell;
use std::marker::PhantomData;

use crate::bindings::description::exports::trackside::plugin::description as described;
use crate::bindings::worker::exports::trackside::plugin::worker as wit_worker;
use control::exports::trackside::packed::control as packed_control;
use control::exports::trackside::plugin::control as record_control;
use health::exports::trackside::plugin::health as wit_health;
use observer::exports::trackside::packed::observer as packed_observer;
use observer::exports::trackside::plugin::observer as record_observer;

thread_local! {
    /// The answer that waits between `check` and `verdict`.
    static VERDICT: Cell<Option<Signal>> = const { Cell::new(None) };
    /// The answers that wait between `check_batch` and `verdicts`, each with its event's place.
    static VERDICTS: Cell<Vec<(u32, Signal)>> = const { Cell::new(Vec::new()) };
    /// The text that waits between `observe` and `failure`.
    static FAILURE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Makes a component of a plugin: `export!(MyPlugin: control)`, or any of `control`, `observer`, `worker` and `health` in a row.
///
/// Anywhere but on wasm it only checks that the roles are there, so that a plugin's unit tests run natively.
#[macro_export]
macro_rules! export {
    ($plugin:ty: $($role:ident),+ $(,)?) => {
        const _: fn() -> $crate::Description = <$plugin as $crate::Plugin>::describe;
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::__private::bindings::description as bindings;
            struct Describing;
            impl bindings::exports::trackside::plugin::description::Guest for Describing {
                fn describe() -> bindings::exports::trackside::plugin::description::About {
                    let description = <$plugin as $crate::Plugin>::describe();
                    $(let description = $crate::__describe_role!($role, $plugin, description);)+
                    $crate::__private::into_about(description)
                }
            }
            bindings::export_description!(Describing with_types_in bindings);
        };
        $($crate::__export_role!($role, $plugin);)+
    };
}

/// What a role adds to the description.
#[doc(hidden)]
#[macro_export]
macro_rules! __describe_role {
    (worker, $plugin:ty, $description:ident) => {
        $crate::__private::with_methods($description, &<$plugin as $crate::Worker>::methods())
    };
    ($role:ident, $plugin:ty, $description:ident) => {
        $description
    };
}

/// What a role adds to the component's exports.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_role {
    (control, $plugin:ty) => {
        const _: fn(&$crate::Event<'_>, &$crate::Context<'_>) -> $crate::Signal = <$plugin as $crate::Control>::check;
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::__private::{Role, bindings::control as bindings};
            type Controlling = Role<$plugin>;
    bindings::export_control!(Controlling with_types_in bindings);
        };
    };
    (observer, $plugin:ty) => {
        const _: fn($crate::Events<'_>, &$crate::Delivery) -> Result<(), $crate::Error> = <$plugin as $crate::Observer>::observe;
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::__private::{Role, bindings::observer as bindings};
            type Observing = Role<$plugin>;
    bindings::export_observer!(Observing with_types_in bindings);
        };
    };
    (health, $plugin:ty) => {
        const _: fn() -> $crate::Status = <$plugin as $crate::Health>::check_health;
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::__private::{Role, bindings::health as bindings};
            type TellingHealth = Role<$plugin>;
    bindings::export_health!(TellingHealth with_types_in bindings);
        };
    };
    (worker, $plugin:ty) => {
        const _: fn() -> $crate::Methods = <$plugin as $crate::Worker>::methods;
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::__private::bindings::worker as bindings;
            struct Working;
            impl bindings::exports::trackside::plugin::worker::Guest for Working {
                fn run(
                    task: bindings::exports::trackside::plugin::worker::Task,
                ) -> Result<String, bindings::exports::trackside::plugin::worker::Failure> {
                    static METHODS: std::sync::OnceLock<$crate::Methods> = std::sync::OnceLock::new();
                    $crate::__private::run(METHODS.get_or_init(<$plugin as $crate::Worker>::methods), task)
                }
            }
    bindings::export_worker!(Working with_types_in bindings);
        };
    };
    ($other:ident, $plugin:ty) => {
        compile_error!(concat!("no role `", stringify!($other), "`: there are control, observer, worker and health"));
    };
}

/// A plugin's roles, as the generated code wants them.
pub struct Role<P>(PhantomData<P>);

impl<P: Control> record_control::Guest for Role<P> {
    fn check(event: types::Event, context: record_control::Context) -> record_control::Signal {
        let context_view = Context {
            point: Point::from_ordinal(context.point as u8),
            attempt: context.attempt,
            now_ns: context.now,
            elapsed_ms: context.elapsed_ms,
            remaining_ms: context.remaining_ms,
            origin: Origin::from_ordinal(context.origin as u8),
            principal: context.principal.as_deref(),
        };
        P::check(&Event::record(&event), &context_view).into_record()
    }
}

impl<P: Control> packed_control::Guest for Role<P> {
    fn check(point: u8, origin: u8, attempt: u32, now: u64, elapsed_ms: u64, remaining_ms: u64, event: Vec<u8>) -> bool {
        let view = View::new(&event);
        let context = Context {
            point: Point::from_ordinal(point),
            attempt,
            now_ns: now,
            elapsed_ms,
            remaining_ms,
            origin: Origin::from_ordinal(origin),
            principal: view.optional(Field::Principal),
        };
        match P::check(&Event::packed(view), &context) {
            Signal::Proceed(None) => false,
            signal => {
                VERDICT.set(Some(signal));
                true
            }
        }
    }

    fn verdict() -> packed_control::Signal {
        // The host asks only after `check` has said that an answer waits.
        VERDICT.take().unwrap_or(Signal::Proceed(None)).into_packed()
    }

    fn check_batch(now: u64, remaining_ms: u64, since_ms: u64, asked: Vec<u8>) -> u32 {
        let mut verdicts = Vec::new();
        packed::judge_each(asked, |place, asked| {
            let context = Context {
                point: Point::from_ordinal(asked.point),
                attempt: asked.attempt,
                now_ns: now,
                elapsed_ms: asked.elapsed_ms + since_ms,
                remaining_ms,
                origin: Origin::from_ordinal(asked.origin),
                principal: asked.event.optional(Field::Principal),
            };
            match P::check(&Event::packed(asked.event), &context) {
                Signal::Proceed(None) => {}
                signal => verdicts.push((place, signal)),
            }
        });
        let announced = verdicts.len() as u32;
        VERDICTS.set(verdicts);
        announced
    }

    fn verdicts() -> Vec<(u32, packed_control::Signal)> {
        VERDICTS.take().into_iter().map(|(place, signal)| (place, signal.into_packed())).collect()
    }
}

impl<P: Observer> record_observer::Guest for Role<P> {
    fn observe(events: Vec<types::Event>, delivery: record_observer::Delivery) -> Result<(), String> {
        let delivery = Delivery {
            now_ns: delivery.now,
            remaining_ms: delivery.remaining_ms,
            attempt: delivery.attempt,
            replay: delivery.replay,
            missed: delivery.missed,
        };
        P::observe(Events::records(&events), &delivery).map_err(String::from)
    }
}

impl<P: Observer> packed_observer::Guest for Role<P> {
    fn observe(now: u64, remaining_ms: u64, attempt: u32, replay: bool, missed: u64, events: Vec<u8>) -> bool {
        let delivery = Delivery { now_ns: now, remaining_ms, attempt, replay, missed };
        match P::observe(Events::packed(&events), &delivery) {
            Ok(()) => false,
            Err(error) => {
                FAILURE.set(Some(error.into()));
                true
            }
        }
    }

    fn failure() -> String {
        FAILURE.take().unwrap_or_default()
    }
}

impl<P: Health> wit_health::Guest for Role<P> {
    fn check_health() -> wit_health::Status {
        P::check_health().into_wit()
    }
}

/// The description as the contract has it.
pub fn into_about(description: Description) -> described::About {
    description.into_wit()
}

/// The description with the methods of a worker in it.
pub fn with_methods(description: Description, methods: &Methods) -> Description {
    description.with_methods(methods)
}

/// Does a task by the function of its method.
pub fn run(methods: &Methods, task: wit_worker::Task) -> Result<String, wit_worker::Failure> {
    methods.run(&Task::from_wit(task)).map_err(Failure::into_wit)
}

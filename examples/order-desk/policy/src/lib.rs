//! `order-limit`: a control handler on `order:placed`. It refuses orders above a limit, and names the currency where it is missing.
//! An example of a policy in one screen: settings, a filter, an amendment and a refusal.

use serde::{Deserialize, Serialize};
use trackside_sdk::{Context, Control, Description, Event, Filter, Plugin, Settings, Signal};

struct OrderLimit;

/// What the operator writes under `[settings]`.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    /// The largest amount of an order.
    most: f64,
    /// The currency of orders that name none.
    currency: String,
}

impl Default for Limits {
    fn default() -> Self {
        Self { most: 1_000.0, currency: "EUR".to_owned() }
    }
}

static LIMITS: Settings<Limits> = Settings::new();

#[derive(Deserialize, Serialize)]
struct Order {
    amount: f64,
    #[serde(default)]
    currency: Option<String>,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

impl Plugin for OrderLimit {
    fn describe() -> Description {
        Description::new("order-limit")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Refuses orders above a limit.")
            .controls(Filter::types(["order:placed"]))
            .memoryless()
    }
}

impl Control for OrderLimit {
    fn check(event: &Event, _: &Context) -> Signal {
        match (LIMITS.get(), event.payload::<Order>()) {
            (Ok(limits), Ok(order)) => judge(limits, order),
            (Err(error), _) => Signal::error(error.message()),
            (_, Err(error)) => Signal::fail(format!("an order has an amount: {}", error.message())),
        }
    }
}

trackside_sdk::export!(OrderLimit: control);

fn judge(limits: &Limits, mut order: Order) -> Signal {
    if order.amount > limits.most {
        return Signal::fail(format!("{} is more than the {} that an order may be", order.amount, limits.most));
    }
    if order.currency.is_some() {
        return Signal::proceed();
    }
    order.currency = Some(limits.currency.clone());
    Signal::amend(&order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(order: serde_json::Value) -> Signal {
        judge(&Limits::default(), serde_json::from_value(order).expect("it is an order"))
    }

    #[test]
    fn large_orders_are_refused_and_small_ones_completed() {
        assert!(matches!(judged(serde_json::json!({"amount": 1_000.5})), Signal::Fail(reason) if reason.contains("1000")));
        assert_eq!(judged(serde_json::json!({"amount": 5.0, "currency": "USD"})), Signal::proceed());
        let amended = judged(serde_json::json!({"amount": 5.0, "item": "tea"}));
        assert!(matches!(amended, Signal::Proceed(Some(value)) if value.contains("EUR") && value.contains("tea")));
    }
}

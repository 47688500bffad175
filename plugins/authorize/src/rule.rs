//! Owns one rule: its condition in CEL, read once, and whether it holds.
//! Leaves what a condition can name to `subject`.

use crate::subject::{NAMES, PAYLOAD};
use cel::{
    Context, Env, IdedExpr, Program, Value,
    common::ast::{EntryExpr, Expr},
};

/// A rule whose condition has been read.
pub(crate) struct Rule {
    pub(crate) name: String,
    condition: Program,
}

impl Rule {
    /// Reads the condition, and sees that it names nothing that there is not.
    pub(crate) fn read(name: String, when: &str, env: &Env) -> Result<Self, String> {
        let condition = env.compile(when).map_err(|error| format!("'{name}': {}", error.to_string().replace('\n', " ")))?;
        if let Some(unknown) = unknown_name(condition.expression(), &mut NAMES.to_vec()) {
            return Err(format!("'{name}': there is no '{unknown}'; there are {}", NAMES.join(", ")));
        }
        Ok(Rule { name, condition })
    }

    /// Whether the payload has to be read for it.
    pub(crate) fn wants_payload(&self) -> bool {
        self.condition.references().has_variable(PAYLOAD)
    }

    /// Whether it holds; an error where that cannot be said.
    pub(crate) fn holds(&self, context: &Context<'_, '_>) -> Result<bool, String> {
        match self.condition.execute(context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("the rule '{}' is neither true nor false: {other:?}", self.name)),
            Err(error) => Err(format!("the rule '{}' cannot be evaluated: {error}", self.name)),
        }
    }
}

/// The first name in an expression that stands for nothing. `known` grows and shrinks with the variables of macros.
fn unknown_name<'a>(expression: &'a IdedExpr, known: &mut Vec<&'a str>) -> Option<&'a str> {
    match &expression.expr {
        Expr::Unspecified | Expr::Literal(_) => None,
        // CEL's own accumulators.
        Expr::Ident(name) => (!name.starts_with('@') && !known.contains(&name.as_str())).then_some(name),
        Expr::Call(call) => call.target.iter().map(|target| &**target).chain(&call.args).find_map(|part| unknown_name(part, known)),
        Expr::List(list) => list.elements.iter().find_map(|element| unknown_name(element, known)),
        Expr::Select(select) => unknown_name(&select.operand, known),
        Expr::Map(map) => map.entries.iter().find_map(|entry| unknown_in_entry(&entry.expr, known)),
        Expr::Struct(made) => made.entries.iter().find_map(|entry| unknown_in_entry(&entry.expr, known)),
        Expr::Comprehension(comprehension) => {
            let outside = [&comprehension.iter_range, &comprehension.accu_init];
            if let Some(unknown) = outside.into_iter().find_map(|part| unknown_name(part, known)) {
                return Some(unknown);
            }
            let before = known.len();
            known.extend([&comprehension.iter_var, &comprehension.accu_var].map(String::as_str));
            known.extend(comprehension.iter_var2.as_deref());
            let inside = [&comprehension.loop_cond, &comprehension.loop_step, &comprehension.result];
            let unknown = inside.into_iter().find_map(|part| unknown_name(part, known));
            known.truncate(before);
            unknown
        }
    }
}

fn unknown_in_entry<'a>(entry: &'a EntryExpr, known: &mut Vec<&'a str>) -> Option<&'a str> {
    match entry {
        EntryExpr::StructField(field) => unknown_name(&field.value, known),
        EntryExpr::MapEntry(entry) => unknown_name(&entry.key, known).or_else(|| unknown_name(&entry.value, known)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(when: &str) -> Option<String> {
        Rule::read("r".into(), when, &Env::stdlib()).err()
    }

    #[test]
    fn names_of_macros_are_known_inside_of_them_only() {
        assert_eq!(unknown("payload.items.all(item, item.sku in ['tea'] && source != '')"), None);
        assert_eq!(unknown("payload.items.exists(i, payload.more.exists(j, i == j))"), None);
        assert!(unknown("payload.items.all(item, true) && item == 1").is_some_and(|wrong| wrong.contains("'item'")));
        assert!(unknown("payload.items.all(item, itme == 1)").is_some_and(|wrong| wrong.contains("'itme'")));
        assert!(unknown("{'a': [nobody]}.a == []").is_some_and(|wrong| wrong.contains("'nobody'")));
    }
}

//! Owns the shape that refusals of host interfaces share: a plain enum whose messages say what to do.
//! Leaves each interface's own cases to the interface.

/// Declares a `Refusal` and its translation from the contract's.
macro_rules! refusal {
    ($wit:path { $($(#[$doc:meta])* $case:ident => $message:literal,)* }) => {
        /// Why the host said no.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal { $($(#[$doc])* $case,)* }

        impl std::fmt::Display for Refusal {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(match self { $(Refusal::$case => $message,)* })
            }
        }

        impl std::error::Error for Refusal {}

        impl From<$wit> for Refusal {
            fn from(refusal: $wit) -> Self {
                use $wit as Wit;
                match refusal { $(Wit::$case => Refusal::$case,)* }
            }
        }
    };
}

pub(crate) use refusal;

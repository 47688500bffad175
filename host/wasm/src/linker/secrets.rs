//! Owns `secrets`: placeholders and signatures, of the secrets that are granted.
//! Leaves their values to the crate's `secrets`, and putting them into requests to `http`.

use trackside_model::outside::SecretGrant;

use crate::{
    bindings::trackside::plugin::secrets::{self, Refusal},
    secrets::Refused,
    state::State,
};

impl State {
    fn refuse_secret(&self, name: &str, refused: Refused) -> Refusal {
        match refused {
            Refused::Unknown => Refusal::Unknown,
            Refused::NotGranted => {
                let name: String = name.chars().take(100).collect();
                self.core.not_granted(&format!("the secret '{name}' (secrets)"), &SecretGrant::lines(&name));
                Refusal::NotGranted
            }
        }
    }
}

impl secrets::Host for State {
    fn placeholder(&mut self, name: String) -> wasmtime::Result<Result<String, Refusal>> {
        self.count(name.len())?;
        let placeholder = self.core.secrets.placeholder(&name).map(str::to_owned);
        Ok(placeholder.map_err(|refused| self.refuse_secret(&name, refused)))
    }

    fn hmac(&mut self, name: String, message: Vec<u8>) -> wasmtime::Result<Result<Vec<u8>, Refusal>> {
        self.count(name.len().saturating_add(message.len()))?;
        let signature = self.core.secrets.hmac(&name, &message);
        Ok(signature.map_err(|refused| self.refuse_secret(&name, refused)))
    }
}

//! CA keys as a state directory has them, whose signers can be made to fail, as a token that was pulled out does.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::BoxFuture;
use portcullis::{
    app::StoredKeys,
    authority::{CaKeyError, CaKeys, KeyHome},
    domain::issuer::KeyPlace,
};
use portcullis_ca::key::{KeyAlgorithm, PublicKey, Signature, Signer, SignerError, SigningKey};
use zeroize::Zeroizing;

/// The keys, and the switch.
pub struct FailingKeys {
    pub keys: StoredKeys,
    pub is_broken: Arc<AtomicBool>,
}

struct FailingSigner {
    signer: Arc<dyn Signer>,
    is_broken: Arc<AtomicBool>,
}

impl Signer for FailingSigner {
    fn public_key(&self) -> &PublicKey {
        self.signer.public_key()
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signature<'a> {
        if self.is_broken.load(Ordering::SeqCst) {
            let error = SignerError("the token was pulled out".to_owned());
            return Box::pin(std::future::ready(Err(error)));
        }
        self.signer.sign(message)
    }
}

impl CaKeys for FailingKeys {
    fn open<'a>(
        &'a self,
        place: &'a KeyPlace,
        expected: Option<&'a PublicKey>,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Signer>>, CaKeyError>> {
        Box::pin(async move {
            let signer = self.keys.open(place, expected).await?;
            Ok(signer.map(|signer| {
                Arc::new(FailingSigner {
                    signer,
                    is_broken: Arc::clone(&self.is_broken),
                }) as Arc<dyn Signer>
            }))
        })
    }

    fn generate(
        &self,
        algorithm: KeyAlgorithm,
        home: KeyHome,
    ) -> BoxFuture<'_, Result<(Arc<dyn Signer>, KeyPlace), CaKeyError>> {
        self.keys.generate(algorithm, home)
    }

    fn keep(
        &self,
        key: SigningKey,
    ) -> BoxFuture<'_, Result<(Arc<dyn Signer>, KeyPlace), CaKeyError>> {
        self.keys.keep(key)
    }

    fn export<'a>(
        &'a self,
        place: &'a KeyPlace,
        passphrase: &'a [u8],
    ) -> BoxFuture<'a, Result<Zeroizing<String>, CaKeyError>> {
        self.keys.export(place, passphrase)
    }

    fn is_open_on_disk(&self, place: &KeyPlace) -> bool {
        self.keys.is_open_on_disk(place)
    }

    fn remove<'a>(&'a self, place: &'a KeyPlace) -> BoxFuture<'a, Result<(), CaKeyError>> {
        self.keys.remove(place)
    }
}

//! What one thread does with its session: finds keys, makes them, signs. When the session turns out to be dead it opens
//! the token anew and tries once more.

use std::{collections::HashMap, sync::Arc};

use cryptoki::{
    error::{Error, RvError},
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
    session::Session,
};
use portcullis_ca::key::{KeyAlgorithm, PublicKey};

use super::{
    TokenError,
    connection::{InUse, Shared, said},
    mechanism::Kind,
    public_key::read_public_key,
};

/// One thread's part of the token.
pub(super) struct Worker {
    connection: Shared,
    own: Option<Own>,
}

struct Own {
    generation: u64,
    session: Session,
    /// Private keys that were found, and seen to be the right ones.
    keys: HashMap<String, ObjectHandle>,
}

/// What went wrong within a session.
enum Fault {
    /// The module's word.
    Module(Error),
    /// It's clear what is wrong, and another session would not help.
    Clear(TokenError),
    /// The key isn't there; but private keys are hidden from who isn't logged in, and gone with a token that is away.
    Missing(TokenError),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Module(error)
    }
}

impl Worker {
    pub(super) fn new(connection: Shared) -> Self {
        Self {
            connection,
            own: None,
        }
    }

    pub(super) fn check(&mut self) -> Result<(), TokenError> {
        self.in_session(|_, own| {
            own.session.get_session_info()?;
            Ok(())
        })
    }

    /// Signs with a key that must be this one.
    pub(super) fn sign(
        &mut self,
        label: &str,
        public_key: &PublicKey,
        kind: Kind,
        input: &[u8],
    ) -> Result<Vec<u8>, TokenError> {
        let token = self.connection.token();
        let algorithm = public_key.algorithm();
        self.in_session(|_, own| {
            let key = match own.keys.get(label) {
                Some(key) => *key,
                None => {
                    let key = find_private_key(&own.session, &token, label)?;
                    if read_key(&own.session, &token, label, key)? != *public_key {
                        return Err(Fault::Clear(TokenError::OtherKey {
                            token: token.clone(),
                            label: label.to_owned(),
                        }));
                    }
                    own.keys.insert(label.to_owned(), key);
                    key
                }
            };
            own.session
                .sign(&kind.signature_mechanism(), key, input)
                .map_err(|error| unsupported(&token, algorithm, error))
        })
    }

    pub(super) fn public_key(&mut self, label: &str) -> Result<PublicKey, TokenError> {
        let token = self.connection.token();
        self.in_session(|_, own| {
            let key = find_private_key(&own.session, &token, label)?;
            read_key(&own.session, &token, label, key)
        })
    }

    pub(super) fn generate(
        &mut self,
        label: &str,
        id: &[u8],
        algorithm: KeyAlgorithm,
        kind: Kind,
    ) -> Result<PublicKey, TokenError> {
        let token = self.connection.token();
        self.in_session(|open, own| {
            if !with_label(&own.session, ObjectClass::PRIVATE_KEY, label)?.is_empty() {
                return Err(Fault::Clear(TokenError::KeyExists {
                    token: token.clone(),
                    label: label.to_owned(),
                }));
            }
            let named = [
                Attribute::Token(true),
                Attribute::Label(label.as_bytes().to_vec()),
                Attribute::Id(id.to_vec()),
            ];
            let mut public = named.to_vec();
            public.extend([
                Attribute::Private(false),
                Attribute::Verify(true),
                Attribute::Encrypt(false),
                Attribute::Wrap(false),
            ]);
            public.extend(kind.key_parameters());
            let mut private = named.to_vec();
            private.extend([
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Sign(true),
                Attribute::Decrypt(false),
                Attribute::Unwrap(false),
                Attribute::Derive(false),
            ]);
            let session = open.session(true)?;
            let made = session
                .generate_key_pair(&kind.key_pair_mechanism(), &public, &private)
                .map_err(|error| unsupported(&token, algorithm, error));
            let read = made.and_then(|(_, key)| read_key(&session, &token, label, key));
            session.close()?;
            read
        })
    }

    pub(super) fn destroy(&mut self, label: &str) -> Result<(), TokenError> {
        let token = self.connection.token();
        self.in_session(|open, own| {
            find_private_key(&own.session, &token, label)?;
            let session = open.session(true)?;
            for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
                for object in with_label(&session, class, label)? {
                    session.destroy_object(object)?;
                }
            }
            own.keys.remove(label);
            Ok(session.close()?)
        })
    }

    /// Does something in this thread's session. What the module says against it, if another session might help, closes
    /// the token; then it is opened anew and the thing tried once more.
    fn in_session<T>(
        &mut self,
        mut work: impl FnMut(&InUse<'_>, &mut Own) -> Result<T, Fault>,
    ) -> Result<T, TokenError> {
        let connection = Arc::clone(&self.connection);
        let mut again = true;
        loop {
            let open = connection.open()?;
            let outcome = self
                .own(&open)
                .map_err(Fault::Module)
                .and_then(|own| work(&open, own));
            let generation = open.generation();
            // Others may need the lock to itself.
            drop(open);
            match outcome {
                Ok(done) => return Ok(done),
                Err(Fault::Clear(error)) => return Err(error),
                Err(Fault::Missing(error)) if !again => return Err(error),
                Err(Fault::Module(error)) if !again => {
                    self.close(generation, &said(&error))?;
                    return Err(connection.away(&error));
                }
                Err(Fault::Missing(error)) => self.close(generation, &error.to_string())?,
                Err(Fault::Module(error)) => self.close(generation, &said(&error))?,
            }
            again = false;
        }
    }

    fn close(&mut self, generation: u64, why: &str) -> Result<(), TokenError> {
        self.own = None;
        self.connection.close(generation, why)
    }

    fn own(&mut self, open: &InUse<'_>) -> Result<&mut Own, Error> {
        let own = match self.own.take() {
            Some(own) if own.generation == open.generation() => own,
            Some(_) | None => Own {
                generation: open.generation(),
                session: open.session(false)?,
                keys: HashMap::new(),
            },
        };
        Ok(self.own.insert(own))
    }
}

fn find_private_key(session: &Session, token: &str, label: &str) -> Result<ObjectHandle, Fault> {
    let found = with_label(session, ObjectClass::PRIVATE_KEY, label)?;
    match found.as_slice() {
        [key] => Ok(*key),
        [] => Err(Fault::Missing(TokenError::NoKey {
            token: token.to_owned(),
            label: label.to_owned(),
        })),
        several => Err(Fault::Clear(TokenError::SeveralKeys {
            token: token.to_owned(),
            label: label.to_owned(),
            count: several.len(),
        })),
    }
}

/// The public half of a private key: the public key object with the same label, or else the same id.
fn read_key(
    session: &Session,
    token: &str,
    label: &str,
    private_key: ObjectHandle,
) -> Result<PublicKey, Fault> {
    let unusable = |message: String| {
        Fault::Clear(TokenError::KeyUnusable {
            token: token.to_owned(),
            label: label.to_owned(),
            message,
        })
    };
    let mut found = with_label(session, ObjectClass::PUBLIC_KEY, label)?;
    if found.len() != 1 {
        let id = session.get_attributes(private_key, &[AttributeType::Id])?;
        let mut wanted = vec![Attribute::Class(ObjectClass::PUBLIC_KEY)];
        wanted.extend(id);
        found = session.find_objects(&wanted)?;
    }
    match found.as_slice() {
        [public_key] => {
            read_public_key(session, *public_key)?.map_err(|error| unusable(error.to_string()))
        }
        several => Err(unusable(format!(
            "there should be one public key beside it, and there are {}",
            several.len()
        ))),
    }
}

fn with_label(
    session: &Session,
    class: ObjectClass,
    label: &str,
) -> Result<Vec<ObjectHandle>, Error> {
    session.find_objects(&[
        Attribute::Class(class),
        Attribute::Token(true),
        Attribute::Label(label.as_bytes().to_vec()),
    ])
}

/// What another session would not help against, said clearly; the rest stays the module's word.
fn unsupported(token: &str, algorithm: KeyAlgorithm, error: Error) -> Fault {
    let hopeless = matches!(
        error,
        Error::Pkcs11(
            RvError::MechanismInvalid
                | RvError::MechanismParamInvalid
                | RvError::CurveNotSupported
                | RvError::DomainParamsInvalid
                | RvError::AttributeTypeInvalid
                | RvError::AttributeValueInvalid
                | RvError::TemplateInconsistent
                | RvError::TemplateIncomplete
                | RvError::KeySizeRange
                | RvError::KeyTypeInconsistent
                | RvError::KeyFunctionNotPermitted
                | RvError::FunctionNotSupported
                | RvError::TokenWriteProtected
                | RvError::DataLenRange,
            _
        )
    );
    if hopeless {
        return Fault::Clear(TokenError::Unsupported {
            token: token.to_owned(),
            algorithm,
            message: said(&error),
        });
    }
    Fault::Module(error)
}

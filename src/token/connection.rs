//! The way to one token: its module loaded and initialised, its slot found, its user logged in. Opened when it is needed,
//! closed when it was lost.
//!
//! PKCS#11 knows one login for each process and token, and `C_Finalize` takes every session away. So whoever uses the
//! module holds the lock for reading, and whoever opens or closes holds it alone. Each opening has a number
//! (`generation`): a session of an earlier one is never touched again, for its handle may be somebody else's by now.

use std::{sync::Arc, time::Duration};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    session::{Session, UserType},
    slot::{Slot, TokenInfo},
    types::RawAuthPin,
};
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{
    PinSource, TokenChoice, TokenError, TokenSettings,
    pin::{PinMemory, TriesLeft},
};

/// The way to one token.
pub(super) struct Connection {
    settings: TokenSettings,
    pin: Option<PinSource>,
    memory: PinMemory,
    state: RwLock<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// Loaded once and never unloaded: modules don't survive that.
    module: Option<Pkcs11>,
    open: Option<Open>,
    generation: u64,
}

struct Open {
    slot: Slot,
    /// The user is logged in as long as there is one session; this one stays.
    _login: Mutex<Session>,
}

/// An open token, which stays open while this is held.
pub(super) struct InUse<'a> {
    state: RwLockReadGuard<'a, State>,
}

impl InUse<'_> {
    pub(super) fn generation(&self) -> u64 {
        self.state.generation
    }

    /// A session of one's own. It is never closed: `C_Finalize` does that.
    pub(super) fn session(&self, write: bool) -> Result<Session, Error> {
        match (&self.state.module, &self.state.open) {
            (Some(module), Some(open)) if write => module.open_rw_session_no_drop(open.slot),
            (Some(module), Some(open)) => module.open_ro_session_no_drop(open.slot),
            (None, _) | (_, None) => Err(Error::Pkcs11(
                RvError::CryptokiNotInitialized,
                cryptoki::context::Function::OpenSession,
            )),
        }
    }
}

impl Connection {
    pub(super) fn new(settings: TokenSettings, pin: Option<PinSource>) -> Self {
        Self {
            settings,
            pin,
            memory: PinMemory::default(),
            state: RwLock::default(),
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// How the token is called in errors.
    pub(super) fn token(&self) -> String {
        match &self.settings.token {
            TokenChoice::Label(label) => format!("the token {label:?}"),
            TokenChoice::Slot(slot) => format!("the token in slot {slot}"),
        }
    }

    /// The open token; opens it if it isn't.
    pub(super) fn open(&self) -> Result<InUse<'_>, TokenError> {
        let state = self
            .state
            .try_read_for(self.settings.timeout)
            .ok_or_else(|| self.slow())?;
        if state.open.is_some() {
            return Ok(InUse { state });
        }
        drop(state);
        let mut state = self
            .state
            .try_write_for(self.settings.timeout)
            .ok_or_else(|| self.slow())?;
        if state.open.is_none() {
            self.open_anew(&mut state)?;
        }
        Ok(InUse {
            state: RwLockWriteGuard::downgrade(state),
        })
    }

    /// Closes what was opened as `generation`, because something went wrong with it.
    pub(super) fn close(&self, generation: u64, why: &str) -> Result<(), TokenError> {
        let mut state = self
            .state
            .try_write_for(self.settings.timeout)
            .ok_or_else(|| self.slow())?;
        if state.generation == generation && state.open.take().is_some() {
            tracing::warn!(
                token = %self.token(),
                why,
                "the token was lost; it is opened again when it is needed"
            );
            finalize(state.module.as_ref());
        }
        Ok(())
    }

    fn open_anew(&self, state: &mut State) -> Result<(), TokenError> {
        let module = match &state.module {
            Some(module) => module.clone(),
            None => {
                let module = self.load()?;
                state.module = Some(module.clone());
                module
            }
        };
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(self.away(&error)),
        }
        let opened = self
            .find_slot(&module)
            .and_then(|(slot, info)| self.log_in(&module, slot, &info));
        match opened {
            Ok(open) => {
                state.open = Some(open);
                state.generation += 1;
                tracing::info!(token = %self.token(), opening = state.generation, "the token is open");
                Ok(())
            }
            Err(error) => {
                // Some modules look for tokens only when they are initialised.
                finalize(Some(&module));
                Err(error)
            }
        }
    }

    fn load(&self) -> Result<Pkcs11, TokenError> {
        let module = &self.settings.module;
        if !module.is_file() {
            return Err(TokenError::ModuleMissing {
                module: module.clone(),
            });
        }
        Pkcs11::new(module).map_err(|error| TokenError::ModuleUnusable {
            module: module.clone(),
            message: said(&error),
        })
    }

    fn find_slot(&self, module: &Pkcs11) -> Result<(Slot, TokenInfo), TokenError> {
        let slots = module
            .get_slots_with_token()
            .map_err(|error| self.away(&error))?;
        // A slot whose token goes at this very moment is one without a token.
        let mut tokens: Vec<(Slot, TokenInfo)> = slots
            .into_iter()
            .filter_map(|slot| module.get_token_info(slot).ok().map(|info| (slot, info)))
            .filter(|(_, info)| info.token_initialized())
            .collect();
        let present = tokens
            .iter()
            .map(|(slot, info)| format!("{:?} in slot {}", info.label(), slot.id()))
            .collect::<Vec<_>>();
        tokens.retain(|(slot, info)| match &self.settings.token {
            TokenChoice::Label(label) => info.label() == label,
            TokenChoice::Slot(number) => slot.id() == *number,
        });
        if tokens.len() > 1 {
            let slots: Vec<String> = tokens
                .iter()
                .map(|(slot, _)| slot.id().to_string())
                .collect();
            return Err(TokenError::SeveralTokens {
                token: self.token(),
                count: tokens.len(),
                slots: slots.join(", "),
            });
        }
        tokens.pop().ok_or_else(|| TokenError::TokenMissing {
            token: self.token(),
            present: if present.is_empty() {
                "none".to_owned()
            } else {
                present.join(", ")
            },
        })
    }

    fn log_in(&self, module: &Pkcs11, slot: Slot, info: &TokenInfo) -> Result<Open, TokenError> {
        let session = module
            .open_ro_session_no_drop(slot)
            .map_err(|error| self.away(&error))?;
        if info.login_required() {
            self.log_in_with_pin(module, slot, info, &session)?;
        }
        Ok(Open {
            slot,
            _login: Mutex::new(session),
        })
    }

    fn log_in_with_pin(
        &self,
        module: &Pkcs11,
        slot: Slot,
        info: &TokenInfo,
        session: &Session,
    ) -> Result<(), TokenError> {
        let token = self.token();
        let tries = TriesLeft::of(info);
        if tries == TriesLeft::None {
            return Err(TokenError::PinLocked { token });
        }
        let Some(source) = &self.pin else {
            if info.protected_authentication_path() {
                // The token has a keypad of its own.
                return session
                    .login(UserType::User, None)
                    .map_err(|error| self.away(&error));
            }
            return Err(TokenError::PinNeeded { token });
        };
        let pin = source().map_err(|message| TokenError::PinUnavailable {
            token: token.clone(),
            message,
        })?;
        if self.memory.was_refused(&pin) {
            return Err(TokenError::PinRefusedBefore { token });
        }
        if tries == TriesLeft::One && !self.memory.was_accepted(&pin) {
            return Err(TokenError::LastTry { token });
        }
        let raw = RawAuthPin::new(Box::new(pin.to_vec()));
        match session.login_with_raw(UserType::User, &raw) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                self.memory.accept(pin);
                Ok(())
            }
            Err(Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                _,
            )) => {
                self.memory.refuse(pin);
                let tries = module
                    .get_token_info(slot)
                    .map_or(TriesLeft::Unknown, |info| TriesLeft::of(&info));
                Err(TokenError::PinRefused { token, tries })
            }
            Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(TokenError::PinLocked { token }),
            Err(error) => Err(self.away(&error)),
        }
    }

    pub(super) fn away(&self, error: &Error) -> TokenError {
        TokenError::Away {
            token: self.token(),
            message: said(error),
        }
    }

    fn slow(&self) -> TokenError {
        TokenError::Slow {
            token: self.token(),
            seconds: self.settings.timeout.as_secs(),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if state.open.take().is_some() {
            finalize(state.module.as_ref());
        }
    }
}

fn finalize(module: Option<&Pkcs11>) {
    if let Some(module) = module {
        // It may be finalised already, or beyond that; what comes next is initialised anew either way.
        let _ = module.clone().finalize();
    }
}

/// What a module says, in the specification's words.
pub(super) fn said(error: &Error) -> String {
    match error {
        Error::Pkcs11(value, function) => format!("C_{function:?}: {value:?}"),
        Error::LibraryLoading(error) => error.to_string(),
        Error::MissingSymbol(symbol) => format!("it has no {symbol}"),
        Error::NotSupported
        | Error::TryFromInt(_)
        | Error::TryFromSlice(_)
        | Error::ParseInt(_)
        | Error::Utf8(_)
        | Error::NulError(_)
        | Error::NullFunctionPointer
        | Error::InvalidValue
        | Error::PinNotSet => error.to_string(),
    }
}

/// A connection is shared by the threads of its pool.
pub(super) type Shared = Arc<Connection>;

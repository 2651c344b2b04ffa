//! The reasons of denials, and what each of them is on the wire.

/// Why a request may not pass, as far as the caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DenialReason {
    /// Nothing proves who is calling.
    NoCredential,
    /// The key is bad, expired or revoked, its principal is suspended, or its bound certificate is missing: one
    /// public reason for all.
    InvalidToken,
    /// The route accepts certificates only, and there is none.
    ClientCertificateRequired,
    /// The certificate, or one above it, is revoked. The connection is closed.
    CertificateRevoked,
    /// The certificate, or one above it, has expired. The connection is closed.
    CertificateExpired,
    /// The principal of the certificate is suspended. The connection is closed.
    PrincipalSuspended,
    /// The certificate maps to no principal.
    UnmappedCertificate,
    /// The certificate maps to more than one principal.
    AmbiguousCertificate,
    /// The key may not be used from this network.
    OutsideNetwork,
    /// Certificate and key prove different principals.
    CredentialsDisagree,
    /// The principal, or its credential, lacks the scope.
    InsufficientScope,
    /// The request is malformed: a key given twice, a path that programs read differently …
    InvalidRequest,
    /// The host has another TLS policy than the name of the handshake.
    MisdirectedRequest,
    /// A rate or quota is used up.
    TooManyRequests,
    /// Revocation data or policy is staler than allowed.
    StandingStale,
    /// No route leads there.
    NoRoute,
    /// Routes lead there, but not with this method.
    MethodNotAllowed,
}

impl DenialReason {
    /// Every reason.
    pub const ALL: [Self; 17] = [
        Self::NoCredential,
        Self::InvalidToken,
        Self::ClientCertificateRequired,
        Self::CertificateRevoked,
        Self::CertificateExpired,
        Self::PrincipalSuspended,
        Self::UnmappedCertificate,
        Self::AmbiguousCertificate,
        Self::OutsideNetwork,
        Self::CredentialsDisagree,
        Self::InsufficientScope,
        Self::InvalidRequest,
        Self::MisdirectedRequest,
        Self::TooManyRequests,
        Self::StandingStale,
        Self::NoRoute,
        Self::MethodNotAllowed,
    ];

    /// The stable name for the `type` of the problem document (RFC 9457 section 3.1.1). With underscores where RFC
    /// 6750 section 3.1 names the error.
    #[must_use]
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::NoCredential => "no-credential",
            Self::InvalidToken => "invalid_token",
            Self::ClientCertificateRequired => "client-certificate-required",
            Self::CertificateRevoked => "certificate-revoked",
            Self::CertificateExpired => "certificate-expired",
            Self::PrincipalSuspended => "principal-suspended",
            Self::UnmappedCertificate => "unmapped-certificate",
            Self::AmbiguousCertificate => "ambiguous-certificate",
            Self::OutsideNetwork => "outside-network",
            Self::CredentialsDisagree => "credentials-disagree",
            Self::InsufficientScope => "insufficient_scope",
            Self::InvalidRequest => "invalid_request",
            Self::MisdirectedRequest => "misdirected-request",
            Self::TooManyRequests => "too-many-requests",
            Self::StandingStale => "standing-stale",
            Self::NoRoute => "no-route",
            Self::MethodNotAllowed => "method-not-allowed",
        }
    }

    /// The HTTP status (RFC 9110 section 15).
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::NoCredential
            | Self::InvalidToken
            | Self::CertificateRevoked
            | Self::CertificateExpired
            | Self::PrincipalSuspended => 401,
            Self::ClientCertificateRequired
            | Self::UnmappedCertificate
            | Self::AmbiguousCertificate
            | Self::OutsideNetwork
            | Self::CredentialsDisagree
            | Self::InsufficientScope => 403,
            Self::NoRoute => 404,
            Self::MethodNotAllowed => 405,
            Self::MisdirectedRequest => 421,
            Self::TooManyRequests => 429,
            Self::StandingStale => 503,
        }
    }

    /// The gRPC status code for callers that speak gRPC.
    #[must_use]
    pub const fn grpc_status(self) -> u8 {
        match self.http_status() {
            401 => 16,       // UNAUTHENTICATED
            403 => 7,        // PERMISSION_DENIED
            404 | 405 => 12, // UNIMPLEMENTED
            429 => 8,        // RESOURCE_EXHAUSTED
            421 | 503 => 14, // UNAVAILABLE
            _ => 13,         // INTERNAL, as gRPC maps HTTP 400
        }
    }

    /// What the caller is told, in one sentence.
    #[must_use]
    pub const fn public_words(self) -> &'static str {
        match self {
            Self::NoCredential => "This needs a credential, and none was presented.",
            Self::InvalidToken => "The API key is not valid.",
            Self::ClientCertificateRequired => "This needs a client certificate.",
            Self::CertificateRevoked => "The client certificate has been revoked.",
            Self::CertificateExpired => "The client certificate has expired.",
            Self::PrincipalSuspended => "The caller is suspended.",
            Self::UnmappedCertificate => "The client certificate proves no identity here.",
            Self::AmbiguousCertificate => "The client certificate proves more than one identity.",
            Self::OutsideNetwork => "The API key may not be used from this network.",
            Self::CredentialsDisagree => {
                "The client certificate and the API key prove different identities."
            }
            Self::InsufficientScope => "The caller lacks the permission that this needs.",
            Self::InvalidRequest => "The request is malformed.",
            Self::MisdirectedRequest => {
                "This connection is not for the requested host; open one for its own name."
            }
            Self::TooManyRequests => "Too many requests.",
            Self::StandingStale => "The gate can't tell at present whether the caller is allowed.",
            Self::NoRoute => "Nothing is here.",
            Self::MethodNotAllowed => "The method is not allowed here.",
        }
    }

    /// Whether the whole connection has lost its standing and is closed after the answer.
    #[must_use]
    pub const fn closes_connection(self) -> bool {
        matches!(
            self,
            Self::CertificateRevoked | Self::CertificateExpired | Self::PrincipalSuspended
        )
    }
}

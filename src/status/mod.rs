//! CRLs and issuer certificates over plain HTTP.

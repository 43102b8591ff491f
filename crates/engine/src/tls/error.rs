//! What an error of rustls means, in the words of close reasons.

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible, PeerMisbehaved};
use sluice_wire::errors::code;

/// Why TLS failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A code of close reasons.
    pub code: i32,
    /// Number of the alert that the peer sent, for TLS_ALERT; else 0.
    pub alert: i32,
    /// The peer's bytes or certificate are at fault; else Sluice or this machine is.
    pub by_peer: bool,
}

/// True where [`super::config`] found no certificate that can sign what the client
/// verifies, which rustls has no word for.
#[must_use]
pub fn is_unresolved(error: &Error) -> bool {
    matches!(error, Error::General(what) if what == "no server certificate chain resolved")
}

/// Names a failure of a connection. It is `by_peer` unless the error says otherwise.
#[must_use]
pub fn classify(error: &Error) -> Failure {
    let peer = |code| Failure {
        code,
        alert: 0,
        by_peer: true,
    };
    match error {
        Error::AlertReceived(alert) => Failure {
            alert: i32::from(alert_number(*alert)),
            ..peer(code::TLS_ALERT)
        },
        Error::InvalidCertificate(error) => peer(certificate(error)),
        Error::InvalidCertRevocationList(_) | Error::UnsupportedNameType => {
            peer(code::TLS_CERT_INVALID)
        }
        Error::NoCertificatesPresented => peer(code::TLS_CERT_MISSING),
        Error::NoApplicationProtocol => peer(code::TLS_ALPN),
        Error::PeerIncompatible(error) => peer(incompatible(error)),
        Error::PeerMisbehaved(error) => peer(misbehaved(error)),
        Error::InvalidMessage(_)
        | Error::DecryptError
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerSentOversizedRecord => peer(code::TLS_MALFORMED),
        error if is_unresolved(error) => peer(code::TLS_CIPHER),
        _ => Failure {
            by_peer: false,
            ..peer(code::TLS_ERROR)
        },
    }
}

fn alert_number(alert: AlertDescription) -> u8 {
    alert.into()
}

fn certificate(error: &CertificateError) -> i32 {
    match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => code::TLS_CERT_EXPIRED,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            code::TLS_CERT_NAME
        }
        CertificateError::UnknownIssuer => code::TLS_CERT_UNTRUSTED,
        // Of the handshake; one of the chain is an unknown issuer (verify.rs).
        CertificateError::BadSignature => code::TLS_MALFORMED,
        CertificateError::Revoked => code::TLS_CERT_REVOKED,
        _ => code::TLS_CERT_INVALID,
    }
}

fn incompatible(error: &PeerIncompatible) -> i32 {
    match error {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
            // Mandatory in TLS 1.2 and unknown before: what misses it is older.
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic => code::TLS_VERSION,
        PeerIncompatible::NoCipherSuitesInCommon
        | PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
        | PeerIncompatible::NoEcPointFormatsInCommon
        | PeerIncompatible::NamedGroupsExtensionRequired
        | PeerIncompatible::KeyShareExtensionRequired
        | PeerIncompatible::UncompressedEcPointsRequired
        | PeerIncompatible::EcPointsExtensionRequired => code::TLS_CIPHER,
        _ => code::TLS_ERROR,
    }
}

fn misbehaved(error: &PeerMisbehaved) -> i32 {
    match error {
        PeerMisbehaved::TooManyRenegotiationRequests => code::TLS_RENEGOTIATION,
        PeerMisbehaved::SelectedUnofferedApplicationProtocol => code::TLS_ALPN,
        _ => code::TLS_MALFORMED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::{
        CertRevocationListError, ContentType, ExtendedKeyPurpose, HandshakeType, InvalidMessage,
        OtherError,
    };
    use std::sync::Arc;
    use std::time::Duration;

    fn by_peer(error: impl Into<Error>) -> i32 {
        let error = error.into();
        let failure = classify(&error);
        assert!(failure.by_peer, "{error:?}");
        assert_eq!(failure.alert, 0);
        failure.code
    }

    #[test]
    fn certificates() {
        use CertificateError as E;
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let name = ServerName::try_from("a.example").unwrap();
        for (error, code) in [
            (E::Expired, code::TLS_CERT_EXPIRED),
            (
                E::ExpiredContext {
                    time: at(2),
                    not_after: at(1),
                },
                code::TLS_CERT_EXPIRED,
            ),
            (E::NotValidYet, code::TLS_CERT_EXPIRED),
            (
                E::NotValidYetContext {
                    time: at(1),
                    not_before: at(2),
                },
                code::TLS_CERT_EXPIRED,
            ),
            (E::NotValidForName, code::TLS_CERT_NAME),
            (
                E::NotValidForNameContext {
                    expected: name,
                    presented: vec![],
                },
                code::TLS_CERT_NAME,
            ),
            (E::UnknownIssuer, code::TLS_CERT_UNTRUSTED),
            (E::Revoked, code::TLS_CERT_REVOKED),
            (E::BadEncoding, code::TLS_CERT_INVALID),
            (E::BadSignature, code::TLS_MALFORMED),
            (E::UnhandledCriticalExtension, code::TLS_CERT_INVALID),
            (E::UnknownRevocationStatus, code::TLS_CERT_INVALID),
            (E::ExpiredRevocationList, code::TLS_CERT_INVALID),
            (E::InvalidPurpose, code::TLS_CERT_INVALID),
            (
                E::InvalidPurposeContext {
                    required: ExtendedKeyPurpose::ServerAuth,
                    presented: vec![],
                },
                code::TLS_CERT_INVALID,
            ),
            (E::InvalidOcspResponse, code::TLS_CERT_INVALID),
            (E::ApplicationVerificationFailure, code::TLS_CERT_INVALID),
            (
                E::Other(OtherError(Arc::new(std::io::Error::other("x")))),
                code::TLS_CERT_INVALID,
            ),
        ] {
            let said = format!("{error:?}");
            assert_eq!(by_peer(error), code, "{said}");
        }
        assert_eq!(
            by_peer(Error::NoCertificatesPresented),
            code::TLS_CERT_MISSING
        );
        assert_eq!(
            by_peer(CertRevocationListError::BadSignature),
            code::TLS_CERT_INVALID
        );
    }

    #[test]
    fn nothing_in_common() {
        use PeerIncompatible as E;
        for error in [
            E::Tls12NotOffered,
            E::Tls12NotOfferedOrEnabled,
            E::SupportedVersionsExtensionRequired,
            E::ServerDoesNotSupportTls12Or13,
            E::ServerTlsVersionIsDisabledByOurConfig,
        ] {
            assert_eq!(by_peer(error), code::TLS_VERSION);
        }
        for error in [
            E::NoCipherSuitesInCommon,
            E::NoKxGroupsInCommon,
            E::NoSignatureSchemesInCommon,
            E::NoCertificateRequestSignatureSchemesInCommon,
            E::NamedGroupsExtensionRequired,
        ] {
            assert_eq!(by_peer(error), code::TLS_CIPHER);
        }
        assert_eq!(by_peer(Error::NoApplicationProtocol), code::TLS_ALPN);
        assert_eq!(
            by_peer(PeerMisbehaved::SelectedUnofferedApplicationProtocol),
            code::TLS_ALPN
        );
        assert_eq!(by_peer(E::NullCompressionRequired), code::TLS_ERROR);
    }

    #[test]
    fn malformed() {
        for error in [
            Error::DecryptError,
            Error::PeerSentOversizedRecord,
            Error::InvalidMessage(InvalidMessage::MessageTooShort),
            Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare),
            Error::InappropriateMessage {
                expect_types: vec![],
                got_type: ContentType::Alert,
            },
            Error::InappropriateHandshakeMessage {
                expect_types: vec![],
                got_type: HandshakeType::Finished,
            },
        ] {
            assert_eq!(by_peer(error), code::TLS_MALFORMED);
        }
        assert_eq!(
            by_peer(PeerMisbehaved::TooManyRenegotiationRequests),
            code::TLS_RENEGOTIATION
        );
    }

    #[test]
    fn alerts_keep_their_number() {
        for (alert, number) in [
            (AlertDescription::HandshakeFailure, 40),
            (AlertDescription::CertificateExpired, 45),
            (AlertDescription::UnknownCA, 48),
            (AlertDescription::ProtocolVersion, 70),
            (AlertDescription::NoApplicationProtocol, 120),
            (AlertDescription::Unknown(200), 200),
        ] {
            let expected = Failure {
                code: code::TLS_ALERT,
                alert: number,
                by_peer: true,
            };
            assert_eq!(classify(&Error::AlertReceived(alert)), expected);
        }
    }

    #[test]
    fn failures_of_our_own() {
        for error in [
            Error::General("x".to_owned()),
            Error::EncryptError,
            Error::FailedToGetRandomBytes,
            Error::FailedToGetCurrentTime,
            Error::HandshakeNotComplete,
            Error::BadMaxFragmentSize,
            Error::Other(OtherError(Arc::new(std::io::Error::other("x")))),
        ] {
            let expected = Failure {
                code: code::TLS_ERROR,
                alert: 0,
                by_peer: false,
            };
            assert_eq!(classify(&error), expected);
        }
    }
}

//! libvirt's errors, classed once: by number, never by text.

use crate::hypervisor::Fault;
use jst_protocol::report::FailureCode;
use virt::enumutil::Enum;
use virt::error::{Error, ErrorDomain, ErrorNumber};

fn number(error: &Error) -> Option<ErrorNumber> {
    match error.code() {
        Enum::Known(number) => Some(number),
        Enum::Unknown(_) => None,
    }
}

/// What was looked for is not there.  Deletes take it as success.
pub fn is_absent(error: &Error) -> bool {
    matches!(
        number(error),
        Some(ErrorNumber::NoDomain | ErrorNumber::NoDomainMetadata | ErrorNumber::DeviceMissing)
    )
}

/// The domain is not in a state that allows the operation, such as stopping a stopped one.
pub fn is_wrong_state(error: &Error) -> bool {
    matches!(number(error), Some(ErrorNumber::OperationInvalid))
}

/// The connection is of no use any more.
pub fn is_disconnected(error: &Error) -> bool {
    let remote = matches!(error.domain(), Enum::Known(ErrorDomain::Rpc | ErrorDomain::Remote));
    match number(error) {
        Some(ErrorNumber::InvalidConn | ErrorNumber::NoConnect | ErrorNumber::Rpc) => true,
        Some(ErrorNumber::SystemError | ErrorNumber::InternalError) => remote,
        _ => false,
    }
}

pub fn fault(what: &str, error: &Error) -> Fault {
    let detail = format!("{what}: {}", error.message());
    if is_disconnected(error) {
        return Fault::passing(FailureCode::HypervisorUnavailable, detail);
    }
    match number(error) {
        // The same document would be refused again.
        Some(
            ErrorNumber::XmlError
            | ErrorNumber::XmlDetail
            | ErrorNumber::XmlInvalidSchema
            | ErrorNumber::ConfigUnsupported
            | ErrorNumber::InvalidArg
            | ErrorNumber::NoSupport
            | ErrorNumber::ArgumentUnsupported,
        ) => Fault::permanent(FailureCode::HypervisorRefused, detail),
        Some(ErrorNumber::NoMemory) => Fault::passing(FailureCode::HostMemory, detail),
        _ => Fault::passing(FailureCode::HypervisorRefused, detail),
    }
}

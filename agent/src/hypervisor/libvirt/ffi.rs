//! The C functions of libvirt that the `virt` crate does not wrap, or wraps unsafely.  All `unsafe` of the
//! agent is here.
//!
//! Rules that every function keeps: the handle is borrowed for the whole call, so its pointer is
//! valid; a negative return is turned into the error of the same thread at once; what libvirt
//! allocates is freed on every path.

use std::ffi::{CStr, CString, c_int, c_uint, c_void};
use std::ptr;
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt::sys;

/// State and reason of a domain.  The wrapper of the `virt` crate drops the error of a failed call and
/// answers an unknown state.
pub fn domain_state(domain: &Domain) -> Result<(u32, i32), Error> {
    let (mut state, mut reason): (c_int, c_int) = (-1, -1);
    // SAFETY: the domain outlives the call; both results are written through valid pointers.
    let result = unsafe { sys::virDomainGetState(domain.as_ptr(), &mut state, &mut reason, 0) };
    if result < 0 {
        return Err(Error::last_error());
    }
    Ok((u32::try_from(state).unwrap_or(0), reason))
}

/// Sets limits of one disk of a running domain.
pub fn set_block_io_tune(domain: &Domain, disk: &str, values: &[(&str, u64)]) -> Result<(), Error> {
    let disk = CString::new(disk)?;
    let mut parameters = TypedParameters::default();
    for (name, value) in values {
        parameters.add(name, *value)?;
    }
    // SAFETY: domain, disk name and parameters outlive the call, which reads `count` parameters.
    let result = unsafe {
        sys::virDomainSetBlockIoTune(
            domain.as_ptr(),
            disk.as_ptr(),
            parameters.pointer,
            parameters.count,
            sys::VIR_DOMAIN_AFFECT_LIVE as c_uint,
        )
    };
    if result < 0 { Err(Error::last_error()) } else { Ok(()) }
}

/// Reads the limits of one disk of a running domain.
pub fn block_io_tune(domain: &Domain, disk: &str) -> Result<Vec<(String, u64)>, Error> {
    let disk = CString::new(disk)?;
    read_parameters(|pointer, count| {
        let flags = sys::VIR_DOMAIN_AFFECT_LIVE as c_uint;
        // SAFETY: domain and disk name outlive the call; `read_parameters` passes a null pointer, or an
        // array with room for `count` parameters.
        unsafe { sys::virDomainGetBlockIoTune(domain.as_ptr(), disk.as_ptr(), pointer, count, flags) }
    })
}

/// Sets the weight of a running domain's control group among those of other domains.
pub fn set_block_io_weight(domain: &Domain, weight: u32) -> Result<(), Error> {
    let mut parameters = TypedParameters::default();
    parameters.add_small(BLOCK_IO_WEIGHT, weight)?;
    let flags = sys::VIR_DOMAIN_AFFECT_LIVE as c_uint;
    // SAFETY: domain and parameters outlive the call, which reads `count` parameters.
    let result = unsafe {
        sys::virDomainSetBlkioParameters(domain.as_ptr(), parameters.pointer, parameters.count, flags)
    };
    if result < 0 { Err(Error::last_error()) } else { Ok(()) }
}

/// The weight of a running domain's control group, which libvirt reads from the kernel.
pub fn block_io_weight(domain: &Domain) -> Result<Option<u64>, Error> {
    let parameters = read_parameters(|pointer, count| {
        let flags = sys::VIR_DOMAIN_AFFECT_LIVE as c_uint;
        // SAFETY: the domain outlives the call; `read_parameters` passes a null pointer, or an array with
        // room for `count` parameters.
        unsafe { sys::virDomainGetBlkioParameters(domain.as_ptr(), pointer, count, flags) }
    })?;
    Ok(parameters.into_iter().find_map(|(name, value)| (name == BLOCK_IO_WEIGHT).then_some(value)))
}

/// VIR_DOMAIN_BLKIO_WEIGHT.
const BLOCK_IO_WEIGHT: &str = "weight";

/// Calls a function of libvirt twice, as its lists of parameters want it: with a null pointer it tells how many
/// there are, and then it writes them.  Gives those that are numbers.
fn read_parameters(
    call: impl Fn(sys::virTypedParameterPtr, &mut c_int) -> c_int,
) -> Result<Vec<(String, u64)>, Error> {
    let mut count: c_int = 0;
    if call(ptr::null_mut(), &mut count) < 0 {
        return Err(Error::last_error());
    }
    // SAFETY: the structure is plain data, for which zeros are valid.
    let empty: sys::virTypedParameter = unsafe { std::mem::zeroed() };
    let mut parameters = vec![empty; usize::try_from(count).unwrap_or(0)];
    // libvirt writes no more than there is room for, and sets `count` to what it wrote.
    if call(parameters.as_mut_ptr(), &mut count) < 0 {
        return Err(Error::last_error());
    }
    let mut values = Vec::new();
    for parameter in parameters.iter().take(usize::try_from(count).unwrap_or(0)) {
        // SAFETY: libvirt ends the name within its 80 bytes, and the type says which member of the
        // union was written.
        unsafe {
            let name = CStr::from_ptr(parameter.field.as_ptr()).to_string_lossy().into_owned();
            match u32::try_from(parameter.type_).unwrap_or(0) {
                sys::VIR_TYPED_PARAM_ULLONG => values.push((name, parameter.value.ul)),
                sys::VIR_TYPED_PARAM_UINT => values.push((name, parameter.value.ui.into())),
                // A string is one of its own, which is ours to free.
                sys::VIR_TYPED_PARAM_STRING => libc::free(parameter.value.s.cast()),
                _ => {}
            }
        }
    }
    Ok(values)
}

/// A list of parameters that libvirt allocates and this frees.
struct TypedParameters {
    pointer: sys::virTypedParameterPtr,
    count: c_int,
    capacity: c_int,
}

impl Default for TypedParameters {
    fn default() -> Self {
        Self { pointer: ptr::null_mut(), count: 0, capacity: 0 }
    }
}

impl TypedParameters {
    fn add(&mut self, name: &str, value: u64) -> Result<(), Error> {
        let name = CString::new(name)?;
        // SAFETY: the three fields belong together and are changed by libvirt only; the name is copied.
        let result = unsafe {
            sys::virTypedParamsAddULLong(
                &mut self.pointer,
                &mut self.count,
                &mut self.capacity,
                name.as_ptr(),
                value,
            )
        };
        if result < 0 { Err(Error::last_error()) } else { Ok(()) }
    }

    /// The same of 32 bits, where libvirt insists on them.
    fn add_small(&mut self, name: &str, value: u32) -> Result<(), Error> {
        let name = CString::new(name)?;
        // SAFETY: as above.
        let result = unsafe {
            sys::virTypedParamsAddUInt(
                &mut self.pointer,
                &mut self.count,
                &mut self.capacity,
                name.as_ptr(),
                value,
            )
        };
        if result < 0 { Err(Error::last_error()) } else { Ok(()) }
    }
}

impl Drop for TypedParameters {
    fn drop(&mut self) {
        // SAFETY: pointer and count are what libvirt allocated; a null pointer is allowed.
        unsafe { sys::virTypedParamsFree(self.pointer, self.count) };
    }
}

/// What libvirt tells about a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainEvent {
    Lifecycle,
    /// The guest restarted inside its process.
    Reboot,
}

type Callback = Box<dyn Fn(Uuid, DomainEvent) + Send + Sync>;

/// Calls back for every domain's events as long as the connection lives.  The event loop must have
/// been registered before the connection was opened.
pub fn watch_domains(
    connect: &Connect,
    callback: impl Fn(Uuid, DomainEvent) + Send + Sync + 'static,
) -> Result<(), Error> {
    let callback = std::sync::Arc::new(callback);
    for event in [DomainEvent::Lifecycle, DomainEvent::Reboot] {
        let shared = callback.clone();
        let boxed: Callback = Box::new(move |id, event| shared(id, event));
        // Boxed twice: a fat pointer does not fit through `void *`.
        let opaque = Box::into_raw(Box::new(boxed)).cast::<c_void>();
        // SAFETY: each function has exactly the signature that its event is documented to call, and
        // is passed under the generic type that the registration takes for all events; libvirt casts
        // it back by the event's number.
        let (number, function) = unsafe {
            match event {
                DomainEvent::Lifecycle => (
                    sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                    std::mem::transmute::<LifecycleFunction, GenericFunction>(on_lifecycle),
                ),
                DomainEvent::Reboot => (sys::VIR_DOMAIN_EVENT_ID_REBOOT, on_reboot as GenericFunction),
            }
        };
        // SAFETY: the connection outlives the call and holds the registration; a null domain means
        // all of them; `opaque` stays allocated until libvirt calls `free_callback`.
        let id = unsafe {
            sys::virConnectDomainEventRegisterAny(
                connect.as_ptr(),
                ptr::null_mut(),
                c_int::try_from(number).unwrap_or(0),
                Some(function),
                opaque,
                Some(free_callback),
            )
        };
        if id < 0 {
            let error = Error::last_error();
            // SAFETY: libvirt did not take the pointer, so it is still ours alone.
            drop(unsafe { Box::from_raw(opaque.cast::<Callback>()) });
            return Err(error);
        }
    }
    Ok(())
}

type GenericFunction = unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, *mut c_void);
type LifecycleFunction =
    unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, c_int, c_int, *mut c_void) -> c_int;

unsafe extern "C" fn on_lifecycle(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _event: c_int,
    _detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: libvirt passes a valid domain and the pointer that was registered.
    unsafe { call(domain, DomainEvent::Lifecycle, opaque) };
    0
}

unsafe extern "C" fn on_reboot(_: sys::virConnectPtr, domain: sys::virDomainPtr, opaque: *mut c_void) {
    // SAFETY: as above.
    unsafe { call(domain, DomainEvent::Reboot, opaque) };
}

/// # Safety
/// `domain` is valid, and `opaque` is a registered [`Callback`] that libvirt has not freed.
unsafe fn call(domain: sys::virDomainPtr, event: DomainEvent, opaque: *mut c_void) {
    let mut bytes = [0u8; 16];
    // SAFETY: the domain is valid during the callback, and the buffer has the 16 bytes of a UUID.
    if unsafe { sys::virDomainGetUUID(domain, bytes.as_mut_ptr()) } < 0 {
        return;
    }
    // SAFETY: the pointer came from `Box::into_raw` of this type, and is only shared, never moved.
    let callback = unsafe { &*opaque.cast::<Callback>() };
    // A panic must not unwind into C.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        callback(Uuid::from_bytes(bytes), event);
    }));
}

unsafe extern "C" fn free_callback(opaque: *mut c_void) {
    // SAFETY: libvirt calls this once, when no callback uses the pointer any more.
    drop(unsafe { Box::from_raw(opaque.cast::<Callback>()) });
}

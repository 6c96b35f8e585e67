// SPDX-License-Identifier: GPL-2.0-only

//! Network devices, as far as an engine has to know of them.

use core::fmt;

/// Tells network namespaces apart while they exist: any number that a glue has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetId(pub usize);

/// The name of a device at some moment, filled up with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name(pub [u8; Name::LEN]);

impl Name {
    /// Longest name in bytes, without a terminating zero (`IFNAMSIZ - 1`).
    pub const LEN: usize = 15;

    /// For a device that is not there any more: `?`.
    pub const UNKNOWN: Self = Self(*b"?\0\0\0\0\0\0\0\0\0\0\0\0\0\0");

    fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().copied().take_while(|byte| *byte != 0)
    }

    /// Whether it is `name`.
    pub fn is(&self, name: &str) -> bool {
        self.bytes().eq(name.bytes())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.bytes() {
            // Names may be any bytes but spaces, slashes and colons.
            let shown = if byte.is_ascii_graphic() { byte } else { b'?' };
            fmt::Write::write_char(f, shown.into())?;
        }
        Ok(())
    }
}

/// A network device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Interface index, unique in the namespace.
    pub ifindex: i32,
    /// Its namespace.
    pub net: NetId,
    /// The largest layer-3 packet, in bytes.
    pub mtu: u32,
    /// The name.
    pub name: Name,
    /// Whether it is up and has a carrier.
    pub up: bool,
}

impl Device {
    /// Placeholder for storage that holds no device.
    pub const NONE: Self = Self {
        ifindex: 0,
        net: NetId(0),
        mtu: 0,
        name: Name::UNKNOWN,
        up: false,
    };

    /// Whether it is the one with this index in this namespace.
    #[inline]
    pub fn is(&self, ifindex: i32, net: NetId) -> bool {
        self.ifindex == ifindex && self.net == net
    }
}

/// What happened to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was registered.
    Register,
    /// It is going away.
    Unregister,
    /// It is about to go down, or is down.
    Down,
    /// The MTU changed.
    ChangeMtu,
    /// Anything else: it came up, or flags, carrier or name changed.
    Change,
}

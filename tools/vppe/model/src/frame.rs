// SPDX-License-Identifier: GPL-2.0-only
//! A frame in a buffer.

/// A frame, with room in front of it for a longer layer-2 header.
pub struct FrameBuf {
    buf: Box<[u8]>,
    start: usize,
    end: usize,
}

impl FrameBuf {
    /// Bytes in front of a frame, for a longer layer-2 header.
    pub const HEADROOM: usize = 64;
    /// Bytes of the largest frame that the buffer can hold.
    pub const MAX_FRAME: usize = 9728;

    /// An empty buffer.
    pub fn new() -> Self {
        Self {
            buf: vec![0; Self::HEADROOM + Self::MAX_FRAME].into_boxed_slice(),
            start: Self::HEADROOM,
            end: Self::HEADROOM,
        }
    }

    /// A buffer with a frame in it.
    ///
    /// # Panics
    ///
    /// If the frame is larger than [`Self::MAX_FRAME`].
    pub fn from_frame(frame: &[u8]) -> Self {
        let mut this = Self::new();
        this.set(frame);
        this
    }

    /// Puts a frame into the buffer.
    ///
    /// # Panics
    ///
    /// If the frame is larger than [`Self::MAX_FRAME`].
    pub fn set(&mut self, frame: &[u8]) {
        self.space()[..frame.len()].copy_from_slice(frame);
        self.set_len(frame.len());
    }

    /// Returns the room for a frame, to read one into; the caller then calls [`Self::set_len`].
    pub fn space(&mut self) -> &mut [u8] {
        self.start = Self::HEADROOM;
        self.end = Self::HEADROOM;
        &mut self.buf[Self::HEADROOM..]
    }

    /// Sets the length of the frame that the caller read into [`Self::space`].
    pub fn set_len(&mut self, len: usize) {
        assert!(len <= Self::MAX_FRAME);
        self.start = Self::HEADROOM;
        self.end = Self::HEADROOM + len;
    }

    /// The frame.
    pub fn frame(&self) -> &[u8] {
        &self.buf[self.start..self.end]
    }

    /// The frame, to be changed.
    pub fn frame_mut(&mut self) -> &mut [u8] {
        &mut self.buf[self.start..self.end]
    }

    /// Cuts the frame to `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.end = self.end.min(self.start + len);
    }

    /// Replaces the first `old` bytes by `header`.
    ///
    /// # Panics
    ///
    /// If the header does not fit into the bytes in front of the frame.
    pub fn replace_head(&mut self, old: usize, header: &[u8]) {
        let payload = self.start + old;
        self.start = payload - header.len();
        self.buf[self.start..payload].copy_from_slice(header);
    }
}

impl Default for FrameBuf {
    fn default() -> Self {
        Self::new()
    }
}

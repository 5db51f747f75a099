//! A slice that parallel tasks write to, each its own part.
#![allow(unsafe_code)]

use std::marker::PhantomData;

/// A mutable slice shared by tasks that write to disjoint parts of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DisjointSlice<'a, T> {
    data: *mut T,
    length: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: it stands for a `&mut [T]` whose parts are handed out under the contract of `slice_mut`.
unsafe impl<T: Send> Send for DisjointSlice<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for DisjointSlice<'_, T> {}

impl<'a, T> DisjointSlice<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { data: slice.as_mut_ptr(), length: slice.len(), lifetime: PhantomData }
    }

    /// The part `start..start + length`.
    ///
    /// # Safety
    /// No two parts that are alive at the same time overlap.
    ///
    /// # Panics
    /// When the part reaches beyond the slice.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn slice_mut(&self, start: usize, length: usize) -> &mut [T] {
        assert!(start <= self.length && length <= self.length - start, "a part beyond the slice");
        // SAFETY: in bounds by the line above, exclusive by the caller's contract.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(start), length) }
    }
}

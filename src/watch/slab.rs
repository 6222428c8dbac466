//! Things with small numbers for names. A number is given again once its thing is gone.

use std::ops::{Index, IndexMut};

pub(super) struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, thing: T) -> u32 {
        if let Some(number) = self.free.pop() {
            self.places[number as usize] = Some(thing);
            return number;
        }
        if self.places.len() == self.places.capacity() {
            // By a quarter, not by all: what is not used is not free.
            self.places.reserve_exact(self.places.len() / 4 + 4);
        }
        self.places.push(Some(thing));
        u32::try_from(self.places.len() - 1).expect("memory ends before four billion")
    }

    pub(super) fn remove(&mut self, number: u32) -> T {
        let thing = self.places[number as usize].take();
        self.free.push(number);
        if self.free.len() == self.places.len() {
            *self = Slab::default();
        }
        thing.unwrap_or_else(|| panic!("nothing has number {number}"))
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let numbered = (0..).zip(&self.places);
        numbered.filter_map(|(number, place)| Some((number, place.as_ref()?)))
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        self.places[number as usize].as_ref().unwrap_or_else(|| panic!("nothing has number {number}"))
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        self.places[number as usize].as_mut().unwrap_or_else(|| panic!("nothing has number {number}"))
    }
}

//! A region and the memory it takes.

use super::populating::Populating;
use super::*;

/// How many pages from `page` on have memory.
fn resident(region: &Region, page: usize, pages: usize) -> usize {
    let mut there = vec![0u8; pages];
    let at = region.stretch(page, pages).unwrap().at;
    // SAFETY: the range lies in the mapping, and there is a byte for each of its pages.
    let done = unsafe { libc::mincore(at.as_ptr().cast(), pages * region.page_bytes, there.as_mut_ptr()) };
    assert_eq!(done, 0, "{}", io::Error::last_os_error());
    there.iter().filter(|byte| **byte & 1 == 1).count()
}

fn region() -> Region {
    Region::new(1 << 30, 1 << 20).unwrap()
}

#[test]
fn memory_is_there_when_populating_has_finished() {
    let region = region();
    let mut populating = Populating::default();
    let runs = [(3, 1), (100, 700), (5000, 2)];
    // What is beyond the end is left out.
    let beyond = [(region.pages() - 1, 2), (usize::MAX, 1)];
    for runs in [&runs[..2], &runs[2..], &beyond[..]] {
        // SAFETY: finished here.
        unsafe { populating.add(&region, runs.iter().copied()) };
    }
    populating.finish();
    for (page, pages) in runs {
        assert_eq!(resident(&region, page, pages), pages);
    }
    assert_eq!(resident(&region, 4, 90) + resident(&region, 800, 4000), 0);
}

#[test]
fn pages_before_the_dense_part_take_memory_one_by_one() {
    let region = region();
    let huge = region.huge_pages();
    region.populate(10 * huge + 1, 1);
    assert_eq!(resident(&region, 10 * huge, huge), 1);
}

#[test]
fn pages_can_be_given_their_memory_by_touching_them() {
    let mut region = region();
    region.data_mut()[5 * 4096] = 7;
    region.stretch(3, 40).unwrap().touch();
    assert_eq!(resident(&region, 0, 100), 40);
    assert_eq!(region.data()[5 * 4096], 7);
}

#[test]
fn the_dense_part_starts_a_huge_page() {
    let region = region();
    let dense = region.dense();
    assert!(dense <= region.pages());
    if dense < region.pages() {
        assert!((region.pages_at + dense * region.page_bytes).is_multiple_of(HUGE_PAGE));
        // Where there are none, small ones do.
        region.populate(dense, 2 * region.huge_pages());
        assert_eq!(
            resident(&region, dense, 2 * region.huge_pages()),
            2 * region.huge_pages()
        );
    }
}

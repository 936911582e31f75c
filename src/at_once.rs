//! Several things done at once, the largest first, and what came of them in the order in which they were given.
//!
//! A stream that keeps its order starts nothing more while the first of what it has begun goes on, however many of the others
//! are done; and a large thing that begins last is left alone at the end. Neither happens here.

use std::cmp::Reverse;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::error::{Error, Result};

/// Does `work` with each of `items`, with `most` of them at once: the largest by `size` begin first, and what is as large in the
/// order in which it was given.
///
/// # Errors
/// The first that there is; what is under way then is dropped.
pub(crate) async fn at_once<T, R, F: Future<Output = Result<R>>>(
    items: impl IntoIterator<Item = T>,
    most: usize,
    size: impl Fn(&T) -> u64,
    work: impl Fn(T) -> F,
) -> Result<Vec<R>> {
    let mut items: Vec<(usize, T)> = items.into_iter().enumerate().collect();
    items.sort_by_key(|(_, item)| Reverse(size(item)));
    let begun = items.into_iter().map(|(place, item)| {
        let done = work(item);
        async move { Ok::<_, Error>((place, done.await?)) }
    });
    let mut done: Vec<(usize, R)> = stream::iter(begun).buffer_unordered(most.max(1)).try_collect().await?;
    done.sort_by_key(|(place, _)| *place);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, time::Duration};

    use tokio::{sync::Semaphore, time::timeout};

    use super::*;
    use crate::error::ErrorKind;

    #[tokio::test]
    async fn the_largest_begin_first_and_all_come_in_their_order() {
        let begun = RefCell::new(Vec::new());
        let work = |item: u64| {
            begun.borrow_mut().push(item);
            async move { Ok(item * 10) }
        };
        let done = at_once([3, 9, 3, 7], 2, |item| *item, work).await.unwrap();
        assert_eq!(done, [30, 90, 30, 70]);
        assert_eq!(begun.into_inner(), [9, 7, 3, 3]);
    }

    #[tokio::test]
    async fn what_takes_long_keeps_nothing_else_from_beginning() {
        let others = Semaphore::new(0);
        let work = async |item: u32| {
            match item {
                // It ends when all others have.
                0 => others.acquire_many(9).await.map_err(|_| Error::interrupted())?.forget(),
                _ => others.add_permits(1),
            }
            Ok(item)
        };
        let done = timeout(Duration::from_secs(10), at_once(0..10, 2, |_| 0, work)).await;
        assert_eq!(done.expect("the first holds up the others").unwrap(), (0..10).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn no_more_than_so_many_are_under_way_and_an_error_ends_them() {
        let (running, most) = (RefCell::new(0), RefCell::new(0));
        let work = async |item: u32| {
            *running.borrow_mut() += 1;
            let now = *running.borrow();
            most.replace_with(|most| now.max(*most));
            tokio::task::yield_now().await;
            *running.borrow_mut() -= 1;
            match item {
                7 => Err(Error::new(ErrorKind::Server, "refused")),
                _ => Ok(()),
            }
        };
        at_once(0..7, 3, |_| 0, work).await.unwrap();
        assert_eq!(most.take(), 3);
        assert_eq!(at_once(0..9, 3, |_| 0, work).await.unwrap_err().kind(), ErrorKind::Server);
    }
}

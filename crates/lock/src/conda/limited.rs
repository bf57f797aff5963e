//! Answers whose bodies may not unpack to more than a limit: a few kilobytes under zstd can be gigabytes of zeros, which the
//! reader of indexes would put into memory or on the disk.

use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use provenv_definition::SafeUrl;
use reqwest::{Body, Response, ResponseBuilderExt as _};

use super::client::Seen;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// `response` with a body that breaks off, and is noted in `seen`, where more comes of it than `limit`.
pub(super) fn limited(response: Response, url: SafeUrl, limit: u64, seen: &Arc<Seen>) -> Response {
    let (at, status) = (response.url().clone(), response.status());
    let is_zstd = std::path::Path::new(url.as_url().path()).extension().is_some_and(|ending| ending == "zst");
    let (parts, body) = http::Response::<Body>::from(response).into_parts();
    let counter = || Counter { size: 0, limit };
    let counter = match zstd::stream::write::Decoder::new(counter()) {
        Ok(decoder) if is_zstd && status.is_success() => Counting::Unpacked(decoder),
        _ => Counting::AsItIs(counter()),
    };
    let body = Body::wrap(Limited { body, counter, url, seen: Arc::clone(seen) });
    let mut rebuilt = http::Response::new(body);
    if let Ok(with_url) = http::Response::builder().url(at).body(()) {
        *rebuilt.extensions_mut() = with_url.into_parts().0.extensions;
    }
    *rebuilt.status_mut() = parts.status;
    *rebuilt.version_mut() = parts.version;
    *rebuilt.headers_mut() = parts.headers;
    rebuilt.into()
}

/// A body that is counted as it passes.
struct Limited {
    body: Body,
    counter: Counting,
    url: SafeUrl,
    seen: Arc<Seen>,
}

enum Counting {
    AsItIs(Counter),
    Unpacked(zstd::stream::write::Decoder<'static, Counter>),
}

/// Takes bytes and keeps none.
struct Counter {
    size: u64,
    limit: u64,
}

impl Counter {
    fn is_over(&self) -> bool {
        self.size > self.limit
    }
}

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.is_over() { Err(std::io::Error::other("too long")) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Counting {
    /// Whether it is still within the limit. What is no zstd the reader itself refuses.
    fn take(&mut self, bytes: &[u8]) -> bool {
        match self {
            Self::AsItIs(counter) => {
                let _ = counter.write(bytes);
                !counter.is_over()
            }
            Self::Unpacked(decoder) => {
                // Written out here, so that nothing is left over when a later chunk is judged.
                let _ = decoder.write_all(bytes).and_then(|()| decoder.flush());
                !decoder.get_ref().is_over()
            }
        }
    }
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
            && !this.counter.take(bytes)
        {
            let limit = match &this.counter {
                Counting::AsItIs(counter) => counter.limit,
                Counting::Unpacked(decoder) => decoder.get_ref().limit,
            };
            this.seen.is_too_long(&this.url, limit);
            let error = provenv_fetch::Error::TooLong { url: this.url.clone().into(), limit, from: None };
            return Poll::Ready(Some(Err(error.into())));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

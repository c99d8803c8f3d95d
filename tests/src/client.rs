//! A person with a browser, and a program with a token.  Neither follows redirects by itself: where
//! an answer leads is part of what is tested.

use reqwest::{Method, redirect};
use serde_json::Value;
use std::time::Duration;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub location: String,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Answer {
    pub(crate) async fn read(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let location = headers.get("location").and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
        let body = response.text().await.expect("the body arrives");
        Self { status, location, headers, body }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Fails the test unless the answer has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} {}", self.location, self.body);
        self
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder().redirect(redirect::Policy::none()).timeout(Duration::from_secs(40))
}

/// A browser: cookies, forms and pages.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    pub fn new(url: &str) -> Self {
        let http = builder().cookie_store(true).build().expect("a client");
        Self { http, url: url.to_owned() }
    }

    /// A browser at this address, as a trusted reverse proxy names it.
    pub fn at(url: &str, address: &str) -> Self {
        let headers = [("x-forwarded-for", address)]
            .map(|(name, value)| (name.parse().expect("a header"), value.parse().expect("an address")));
        let http = builder().cookie_store(true).default_headers(headers.into_iter().collect());
        Self { http: http.build().expect("a client"), url: url.to_owned() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.get_in(path, "en").await
    }

    pub async fn get_in(&self, path: &str, language: &str) -> Answer {
        let request = self.http.get(format!("{}{path}", self.url)).header("accept-language", language);
        Answer::read(request.send().await.expect("the server answers")).await
    }

    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request =
            self.http.post(format!("{}{path}", self.url)).form(fields).header("accept-language", "en");
        Answer::read(request.send().await.expect("the server answers")).await
    }

    /// Any method, with a JSON body and headers: what a program with this browser's cookies could send.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::read(request.send().await.expect("the server answers")).await
    }

    /// Opens a stream of events and leaves it open.
    pub async fn stream(&self, path: &str) -> EventStream {
        let request = self.http.get(format!("{}{path}", self.url));
        let response = request.send().await.expect("the server answers");
        let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        EventStream {
            status: response.status().as_u16(),
            content_type: content_type.unwrap_or("").to_owned(),
            response,
        }
    }

    /// Signs in and fails the test when that does not work.
    pub async fn sign_in(&self, email: &str, password: &str) {
        let answer = self.post("/sign-in", &[("email", email), ("password", password)]).await;
        assert_eq!(answer.status, 303, "signing in failed: {}", answer.body);
        assert!(!answer.location.starts_with("/sign-in"), "signing in led to {}", answer.location);
    }
}

/// A stream of events that is open.
pub struct EventStream {
    pub status: u16,
    pub content_type: String,
    response: reqwest::Response,
}

impl EventStream {
    /// The next piece; nothing when none comes in time or the stream has ended.
    pub async fn next(&mut self, limit: Duration) -> Option<String> {
        let piece = tokio::time::timeout(limit, self.response.chunk()).await.ok()?;
        Some(String::from_utf8_lossy(&piece.ok()??).into_owned())
    }

    /// Takes what is there already.
    pub async fn drain(&mut self) {
        while self.next(Duration::from_millis(300)).await.is_some() {}
    }
}

/// A program: a bearer token and JSON.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Api {
    pub fn new(url: &str, token: &str) -> Self {
        Self { http: builder().build().expect("a client"), url: url.to_owned(), token: token.to_owned() }
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        self.try_send(method, path, body, headers).await.expect("the server answers")
    }

    /// The same, for when the server may die before it answers.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> reqwest::Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Ok(Answer::read(request.send().await?).await)
    }

    /// A form with headers of one's own choice, such as somebody else's cookie.
    pub async fn send_form(&self, path: &str, form: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.http.post(format!("{}{path}", self.url)).body(form.to_owned());
        request = request.header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::read(request.send().await.expect("the server answers")).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, &[]).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body), &[]).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body), &[]).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body), &[]).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None, &[]).await
    }
}

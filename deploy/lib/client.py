"""HTTP clients of the platform: a program with a token, and a person with a browser.

Python's own library only, so that nothing has to be installed for them.
"""

import html
import html.parser
import http.cookiejar
import json
import pathlib
import re
import urllib.error
import urllib.parse
import urllib.request

SECONDS = 40


class Refused(Exception):
    """The platform answered, and not with what was asked for."""

    def __init__(self, method, path, status, said):
        super().__init__(f"{method} {path} was answered {status}: {said}")
        self.status = status
        self.said = said


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def _opener(*handlers):
    # No proxy of the environment: the platform is on this machine or named by the operator.
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects, *handlers)


def _send(opener, request):
    """Status, headers and text of the answer, whatever the status is."""
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers, answer.read().decode(errors="replace")


class Api:
    """The REST API, with a token."""

    def __init__(self, url, token):
        self.url = url
        self.token = token
        self._opener = _opener()

    def send(self, method, path, body=None, accept=()):
        """The JSON of a success (`None` without a body); [`Refused`] for everything else.

        A status in `accept` counts as success.
        """
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("authorization", f"Bearer {self.token}")
        if body is not None:
            request.add_header("content-type", "application/json")
            request.data = json.dumps(body).encode()
        status, _, text = _send(self._opener, request)
        if status >= 300 and status not in accept:
            raise Refused(method, path, status, _problem(text))
        try:
            return json.loads(text)
        except ValueError:
            return None

    def get(self, path, **options):
        return self.send("GET", path, **options)

    def post(self, path, body):
        return self.send("POST", path, body)

    def all(self, path):
        """Every item of a list, over all its pages."""
        items, cursor = [], None
        while True:
            query = {"limit": 100} | ({"cursor": cursor} if cursor else {})
            page = self.get(f"{path}?{urllib.parse.urlencode(query)}")
            items += page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return items


class Browser:
    """Pages and forms, with cookies, as a person's browser sends them."""

    def __init__(self, url, language="en"):
        self.url = url
        self.language = language
        self._opener = _opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def get(self, path):
        status, headers, text = self._request("GET", path, None)
        if status in (302, 303, 307):
            return self.get(urllib.parse.urljoin(path, headers["location"]))
        if status >= 400:
            raise Refused("GET", path, status, _words(text))
        return text

    def post(self, path, fields):
        """Sends a form and gives the address that the answer leads to, or the page itself."""
        status, headers, text = self._request("POST", path, urllib.parse.urlencode(fields, doseq=True).encode())
        if status >= 400:
            raise Refused("POST", path, status, _words(text))
        return headers["location"] or text

    def _request(self, method, path, data):
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("accept-language", self.language)
        request.add_header("origin", self.url)
        return _send(self._opener, request)


class Form(html.parser.HTMLParser):
    """A form of a page, with the fields that a browser would send if nothing were typed."""

    def __init__(self, page, action):
        super().__init__()
        self.action = action
        self.fields = {}
        self.choices = {}
        self._inside = False
        self._select = None
        self.feed(page)
        if not self.fields and not self.choices:
            raise LookupError(f"the page has no form that goes to {action}")

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form":
            self._inside = given.get("action") == self.action
        if not self._inside:
            return
        name, value = given.get("name"), given.get("value") or ""
        if tag == "select":
            self._select = name
        elif tag == "option" and self._select:
            self.choices.setdefault(self._select, []).append(value)
            if "selected" in given or self._select not in self.fields:
                self.fields[self._select] = value
        elif tag == "textarea" and name:
            self.fields.setdefault(name, "")
        elif tag == "input" and name:
            kind = given.get("type", "text")
            if kind in ("radio", "checkbox"):
                self.choices.setdefault(name, []).append(value or "on")
                if "checked" in given:
                    self.fields[name] = value or "on"
            else:
                self.fields[name] = value

    def handle_endtag(self, tag):
        if tag == "form":
            self._inside = False
        elif tag == "select":
            self._select = None

    def choose(self, name, *wanted):
        """Chooses the first of the values that the form offers."""
        offered = self.choices.get(name, [])
        found = [value for value in wanted if value in offered]
        if not found:
            raise LookupError(f"the form offers no {' or '.join(wanted)} as {name}, only: {', '.join(offered) or 'nothing'}")
        self.fields[name] = found[0]


def _problem(text):
    """What an API error says, in one line."""
    try:
        problem = json.loads(text)
    except ValueError:
        return _words(text)
    parts = [problem.get("title"), problem.get("detail")]
    parts += [f"{e.get('field', '')}: {e.get('message') or e.get('code')}" for e in problem.get("errors") or []]
    return "; ".join(part for part in parts if part) or text[:300]


def _words(page):
    """The words of a page that say what is wrong: its errors, or else its beginning."""
    errors = re.findall(r'<[^>]*class="[^"]*(?:error|alert)[^"]*"[^>]*>(.*?)</(?:p|div|span)>', page, re.S)
    text = " ".join(errors) or re.sub(r"<(script|style|svg|head)\b.*?</\1>", " ", page, flags=re.S)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))).strip()[:300]


def credentials(path):
    """What deploy/up wrote down: JST_URL, JST_ADMIN_EMAIL, JST_ADMIN_PASSWORD, JST_ADMIN_TOKEN."""
    lines = pathlib.Path(path).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)

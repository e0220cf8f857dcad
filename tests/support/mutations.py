"""Image files as disks, networks and hostile people change them."""

from collections.abc import Iterator
import io
import random
import struct
import zlib

import numpy as np
from PIL import Image
from PIL import PngImagePlugin
import raw_sets

PNG = b'\x89PNG\r\n\x1a\n'
_XMP = '<rdf:Description tiff:Orientation="6"/>'
_ODD_CHUNKS = (b'tRNS', b'gAMA', b'PLTE', b'iCCP', b'eXIf', b'ABCD', b'abCD')


def pictures() -> dict[str, bytes]:
  """Small JPEG and PNG files of many kinds."""
  exif = Image.Exif()
  exif[0x0112], exif[0x010F] = 6, 'A camera'
  texts = PngImagePlugin.PngInfo()
  texts.add_text('Comment', 'a text')
  texts.add_itxt('XML:com.adobe.xmp', _XMP)
  color, gray = _noise('RGB'), _noise('L')
  ink = _file(_noise('CMYK'), 'JPEG')
  adobe = ink.index(b'\xff\xee')
  return {
    'jpeg': _file(color, 'JPEG'),
    'progressive': _file(color, 'JPEG', progressive=True),
    'restarts': _file(color, 'JPEG', restart_marker_blocks=2),
    'full color': _file(color, 'JPEG', subsampling=0),
    'gray jpeg': _file(gray, 'JPEG'),
    'ink': ink,
    'ink without Adobe': ink[:adobe] + ink[adobe + 16 :],
    'exif': _file(color, 'JPEG', exif=exif, comment=b'a comment'),
    'xmp': _file(color, 'JPEG', xmp=_XMP.encode()),
    'profile': _file(color, 'JPEG', icc_profile=bytes(70_000), exif=exif),
    'png': _file(color, 'PNG'),
    'gray': _file(gray, 'PNG'),
    'gray and alpha': _file(_noise('LA'), 'PNG'),
    'alpha': _file(_noise('RGBA'), 'PNG'),
    'palette': _file(color.quantize(16), 'PNG'),
    'bits': _file(gray.convert('1'), 'PNG'),
    'texts': _file(color, 'PNG', exif=exif, pnginfo=texts),
    'deep': raw_sets.png(16, 0, _deep()),
    'deep and alpha': raw_sets.png(16, 4, _deep(), _deep()),
    'deep color': raw_sets.png(16, 2, _deep(), _deep(), _deep()),
  }


def mutants(
  files: dict[str, bytes], count: int, seed: int
) -> Iterator[tuple[str, bytes]]:
  """Yield (name of a file, the file changed), `count` times."""
  rng = random.Random(seed)
  for _ in range(count):
    name = rng.choice(list(files))
    data = files[name]
    for _ in range(rng.choice((1, 1, 1, 2))):
      if data.startswith(PNG) and rng.random() < 0.5:
        data = _other_png(rng, data)
      elif len(data) > 20:
        data = _other_bytes(rng, data)
    yield name, data


def _other_bytes(rng, data):
  changed = bytearray(data)
  place = rng.randrange(len(changed))
  kind = rng.randrange(6)
  if kind == 0:
    del changed[place:]
  elif kind == 1:
    changed[place:] = bytes(len(changed) - place)
  elif kind == 2:
    del changed[place : place + rng.randrange(1, 200)]
  elif kind == 3:
    other = rng.randrange(len(changed))
    changed[place:place] = changed[other : other + rng.randrange(1, 100)]
  else:  # The first bytes say most.
    first = min(rng.choice((60, 300, 1000, len(changed))), len(changed))
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
      changed[rng.randrange(first)] = rng.randrange(256)
  return bytes(changed)


def _other_png(rng, data):
  """Change a PNG's chunks or pixels, all checksums being right."""
  chunks = _chunks(data)
  kind = rng.randrange(6)
  if kind == 0:
    chunks.insert(rng.randrange(len(chunks) + 1), rng.choice(chunks))
  elif kind == 1:
    rng.shuffle(chunks)
  elif kind == 2:
    content = rng.randbytes(rng.choice((0, 1, 3, 6, 26, 300)))
    chunks.insert(
      rng.randrange(1, len(chunks)), (rng.choice(_ODD_CHUNKS), content)
    )
  elif kind == 3:
    header = bytearray(chunks[0][1])
    header[rng.randrange(len(header))] = rng.randrange(20)
    chunks[0] = (chunks[0][0], bytes(header))
  else:
    chunks = _other_pixels(rng, chunks)
  return PNG + b''.join(raw_sets.chunk(*chunk) for chunk in chunks)


def _chunks(data):
  chunks, at = [], len(PNG)
  while at + 12 <= len(data):
    length, kind = struct.unpack_from('>I4s', data, at)
    chunks.append((kind, data[at + 8 : at + 8 + length]))
    at += 12 + length
  return chunks if len(chunks) > 1 and chunks[0][1] else [(b'IHDR', b'-')] * 2


def _other_pixels(rng, chunks):
  packed = b''.join(content for kind, content in chunks if kind == b'IDAT')
  try:
    pixels = bytearray(zlib.decompress(packed))
  except zlib.error:
    return chunks
  for _ in range(rng.randrange(6) if pixels else 0):
    pixels[rng.randrange(len(pixels))] = rng.randrange(256)
  if rng.random() < 0.3:
    pixels = pixels[: rng.randrange(len(pixels) + 1)]
  elif rng.random() < 0.3:
    pixels += bytes(rng.randrange(3000))
  packed = zlib.compress(bytes(pixels), rng.randrange(10))
  packed = packed[: len(packed) - rng.choice((0, 0, 0, rng.randrange(8)))]
  cut = rng.randrange(len(packed) + 1)
  parts = [(b'IDAT', packed[:cut]), (b'IDAT', packed[cut:])]
  first = next((n for n, (k, _) in enumerate(chunks) if k == b'IDAT'), 1)
  others = [chunk for chunk in chunks if chunk[0] != b'IDAT']
  return others[:first] + parts + others[first:]


def _noise(mode):
  channels = len(Image.new(mode, (1, 1)).getbands())
  coarse = np.random.default_rng(0).integers(0, 256, (12, 16, channels))
  pixels = np.kron(coarse, np.ones((4, 4, 1)))[:47, :61].squeeze()
  return Image.fromarray(pixels.astype(np.uint8), mode)


def _deep():
  values = np.random.default_rng(0).integers(900, 5000, (19, 23))
  return values.astype(np.uint16)


def _file(image, kind, **options):
  buffer = io.BytesIO()
  image.save(buffer, kind, **options)
  return buffer.getvalue()

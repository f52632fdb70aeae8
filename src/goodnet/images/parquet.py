"""Image sets as Hugging Face image parquet: a file, or a folder of shards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np

from goodnet.errors import ImagesError, MissingExtraError
from goodnet.images.names import IMAGE_NAMES, LABEL_NAMES, containing, exact, given
from goodnet.images.pictures import decode, stack
from goodnet.images.raw import Array, Indices, RawImages, Request, begins_with

_SPLITS = ("train", "test", "val", "valid", "validation")


def recognises(source: object) -> bool:
    """Whether `source` is a parquet file, or a folder that holds some."""
    if isinstance(source, Path) and source.is_dir():
        return bool(_parquet_files(source))
    return begins_with(source, b"PAR1")


def read(source: object, request: Request) -> RawImages:
    """Read the `image` column (bytes, or struct {bytes, path}) and the `label` column.

    Only the chosen rows are decoded.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(f"reading {source}", "parquet") from error
    path = cast(Path, source)
    shards, notes = _shards(path, request.split)
    damaged = (pyarrow.ArrowException, OSError, ValueError, KeyError)

    def opened(shard: Path) -> Any:
        try:
            return pyarrow.parquet.ParquetFile(shard)
        except damaged as error:
            raise ImagesError(f"{shard}: the parquet file is truncated or damaged ({error})") from error

    files = [opened(shard) for shard in shards]
    image_key, label_key = _columns(files[0].schema_arrow.names, request, path)
    labels = None
    try:
        if label_key is not None:
            columns = [file.read(columns=[label_key]).column(label_key) for file in files]
            labels = np.concatenate([column.to_numpy() for column in columns])
    except damaged as error:
        raise ImagesError(f"{path}: the parquet file is truncated or damaged ({error})") from error

    notes += (f"images: {image_key}, labels: {label_key or 'none'}",)

    def rows(indices: Indices) -> Array:
        try:
            cells = list(_cells(files, image_key, indices))
        except damaged as error:
            raise ImagesError(f"{path}: the parquet file is truncated or damaged ({error})") from error
        names = [f"row {index} of {path}" for index in indices]
        pictures = [decode(_encoded(cell, name), name, request) for cell, name in zip(cells, names, strict=True)]
        return stack(pictures, names, request)

    return RawImages(sum(file.metadata.num_rows for file in files), rows, labels, str(path), (), notes)


def _cells(files: list[Any], column: str, indices: Indices) -> Iterator[object]:
    """Yield the cells of `column` at ascending `indices`, a row group at a time."""
    start = 0
    for file in files:
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            inside = indices[(indices >= start) & (indices < end)] - start
            if len(inside):
                yield from (file.read_row_group(group, columns=[column]).column(column).take(inside).to_pylist())
            start = end


def _encoded(cell: object, name: str) -> bytes:
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if data is None and isinstance(cell, dict) and cell.get("path"):
        raise ImagesError(f"{name} has its picture in another file, {cell['path']}; give the folder of those pictures")
    if not isinstance(data, bytes):
        raise ImagesError(f"{name} holds no picture: expected its encoded bytes, got {type(data).__name__}")
    return data


def _columns(names: list[str], request: Request, path: Path) -> tuple[str, str | None]:
    """Return the names of the columns with images and labels, or None where there are no labels."""
    listing = ", ".join(names)
    if request.keys is not None:
        return given(request.keys, names, f"{path} has no column {{!r}}; it has: {listing}")
    images = exact(names, IMAGE_NAMES) or containing(names, IMAGE_NAMES, request.split)
    rest = [name for name in names if name not in images]
    labels = (exact(rest, LABEL_NAMES) or containing(rest, LABEL_NAMES, request.split)) if request.labels else []
    if len(images) != 1 or len(labels) > 1:
        raise ImagesError(
            f"{path}: expected one column image and one column label, found {listing}; name them: --keys IMAGES,LABELS"
        )
    return images[0], labels[0] if labels else None


def _shards(path: Path, split: str) -> tuple[list[Path], tuple[str, ...]]:
    """The files of a parquet set; where a folder names its shards by split (test-0...), those of `split`."""
    if path.is_file():
        return [path], ()
    shards = _parquet_files(path)
    splits = {shard: shard.name.lower().split("-")[0].split(".")[0] for shard in shards}
    present = sorted(set(splits.values()) & set(_SPLITS))
    if not present:
        return shards, (f"read {len(shards)} parquet files of {path}",)
    chosen = [shard for shard in shards if splits[shard] == split]
    if not chosen:
        raise ImagesError(f"{path} has the parts {', '.join(present)} but no {split!r}; choose with --split")
    return chosen, (f"read the {split} part of {path}: {', '.join(shard.name for shard in chosen)}",)


def _parquet_files(folder: Path) -> list[Path]:
    """The parquet files of a folder or, as Hugging Face lays its sets out, of its `data` subfolder."""
    return sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))

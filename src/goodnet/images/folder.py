"""Image sets as picture files: a folder with or without class subfolders, a list of files, a single one."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import cast

import numpy as np

from goodnet.errors import ImagesError
from goodnet.images.labels import number_names
from goodnet.images.pictures import SIGNATURES, SUFFIXES, decode, stack
from goodnet.images.raw import Array, Indices, RawImages, Request, begins_with

_SPLITS = ("train", "test", "val", "valid", "validation")


def recognises(source: object) -> bool:
    """Whether `source` is a folder, a picture file, or a list of paths."""
    if isinstance(source, (list, tuple)):
        return len(source) > 0 and all(isinstance(item, (str, Path)) for item in source)
    return isinstance(source, Path) and (source.is_dir() or begins_with(source, *SIGNATURES))


def read(source: object, request: Request) -> RawImages:
    """Read pictures; class subfolders give the labels. Only the chosen pictures are decoded.

    Subfolders that are all named by numbers (00000..00042) have those as labels; others are numbered from 0
    in the order of their names. A single one, not a number, is no class. Files that are no
    pictures are passed over and counted in the notes.
    """
    if isinstance(source, (list, tuple)):
        return _pictures([Path(item) for item in source], None, f"{len(source)} pictures", (), request)
    path = cast(Path, source)
    if path.is_file():
        return _pictures([path], None, str(path), (), request)
    folder, notes = _split_of(_inner(path), request.split)
    every = {child.name: _picture_files(child, deep=True) for child in _subfolders(folder)}
    groups = {name: files for name, files in every.items() if files}
    loose = _picture_files(folder, deep=False)
    if groups and loose:
        raise ImagesError(
            f"{folder} holds pictures ({loose[0].name}, ...) beside class subfolders "
            f"({next(iter(groups))}, ...); keep either only subfolders, one a class, or only pictures"
        )
    if not groups and not loose:
        raise ImagesError(f"{folder} holds no pictures; expected png, jpg, ppm, bmp, webp, ... or a subfolder a class")
    files = loose or list(itertools.chain.from_iterable(groups.values()))
    labels = None
    if len(groups) == 1 and not next(iter(groups)).isdecimal():
        notes += (f"{next(iter(groups))} is the only subfolder of {folder}, so it is not taken as a class",)
    elif groups and request.labels:
        _require_no_gap(folder, every)
        numbers, note = number_names(list(groups), "class folders")
        labels = np.repeat(numbers, [len(members) for members in groups.values()])
        notes += (note,)
    skipped = sum(1 for file in folder.rglob("*") if file.is_file() and not _hidden(file)) - len(files)
    if skipped > 0:
        notes += (f"{skipped} files in {folder} are no pictures and were passed over",)
    return _pictures(files, labels, str(path), notes, request)


def _pictures(
    files: list[Path], labels: Array | None, source: str, notes: tuple[str, ...], request: Request
) -> RawImages:
    def rows(indices: Indices) -> Array:
        chosen = [files[i] for i in indices]
        for file in chosen:
            if not file.is_file():
                raise ImagesError(f"there is no picture {file}")
        return stack([decode(file, str(file), request) for file in chosen], [str(file) for file in chosen], request)

    return RawImages(len(files), rows, labels, source, tuple(map(str, files)), notes)


def _require_no_gap(folder: Path, groups: dict[str, list[Path]]) -> None:
    """Complain of an empty class folder before others: with and without it, those are numbered differently."""
    names = list(groups)
    if all(name.isdecimal() for name in names):
        return
    last = max(place for place, name in enumerate(names) if groups[name])
    for name in names[:last]:
        if not groups[name]:
            raise ImagesError(
                f"the subfolder {name} of {folder} holds no pictures, and the classes after it are numbered by their "
                "place: put pictures of that class into it, or remove it if it is no class"
            )


def _inner(folder: Path) -> Path:
    """The folder that holds the set: below folders that hold nothing but one folder of folders, as archives unpack."""
    while len(children := _subfolders(folder)) == 1 and _subfolders(children[0]) and children[0].name not in _SPLITS:
        if _picture_files(folder, deep=False) or _picture_files(children[0], deep=False):
            break
        folder = children[0]
    return folder


def _split_of(folder: Path, split: str) -> tuple[Path, tuple[str, ...]]:
    """The part of a folder with train/test/... subfolders that `split` names, else the folder itself."""
    children = {child.name.lower(): child for child in _subfolders(folder)}
    if not children or not set(children) <= set(_SPLITS):
        return folder, ()
    wanted = ("val", "valid", "validation") if split in ("val", "valid", "validation") else (split,)
    for name in wanted:
        if name in children:
            return children[name], (f"read the {children[name].name} part of {folder}",)
    raise ImagesError(f"{folder} has the parts {', '.join(sorted(children))} but no {split!r}; choose with --split")


def _subfolders(folder: Path) -> list[Path]:
    return sorted((child for child in folder.iterdir() if child.is_dir() and not _hidden(child)), key=lambda p: p.name)


def _picture_files(folder: Path, *, deep: bool) -> list[Path]:
    files = folder.rglob("*") if deep else folder.iterdir()
    return sorted(file for file in files if file.is_file() and not _hidden(file) and _is_picture(file))


def _is_picture(file: Path) -> bool:
    """By suffix or by content, so that a damaged .png is reported and a renamed one is read."""
    return file.suffix.lower() in SUFFIXES or begins_with(file, *SIGNATURES)


def _hidden(file: Path) -> bool:
    return file.name.startswith((".", "__MACOSX"))

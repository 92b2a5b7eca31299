"""A listing of files as folders within folders: what lies where, and how many of it are pictures."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from core.data.reading.folder_names import stand_around_pictures


@dataclass(eq=False)
class Folder:
    """A folder with the pictures in it. Complete once `tree_of` has returned it."""

    name: str
    path: str
    """From the root, with forward slashes; empty for the root."""
    files: list[str] = field(default_factory=list)
    """Pictures directly in it, by their whole names."""
    inner: dict[str, "Folder"] = field(default_factory=dict)
    """Folders directly in it, by their own names; those without pictures included."""

    @cached_property
    def pictures(self) -> int:
        """Pictures in it and anywhere below."""
        return len(self.files) + sum(folder.pictures for folder in self.inner.values())

    @cached_property
    def filled(self) -> list["Folder"]:
        """The folders in it that hold a picture, directly or below, by name."""
        return [folder for _, folder in sorted(self.inner.items()) if folder.pictures]

    @cached_property
    def is_deep(self) -> bool:
        """Whether folders in it could be classes: not itself once more, or one for its pictures and one for masks."""
        return any(folder.is_deep for folder in self.filled) or not stand_around_pictures(
            [folder.name for folder in self.filled], self.name
        )

    def all_files(self) -> Iterator[str]:
        """Pictures in it and anywhere below."""
        yield from self.files
        for folder in self.filled:
            yield from folder.all_files()

    def child(self, name: str) -> "Folder":
        """The folder of that name in it; made if it is missing."""
        if name not in self.inner:
            self.inner[name] = Folder(name, f"{self.path}/{name}" if self.path else name)
        return self.inner[name]


def tree_of(pictures: Iterable[str], folders: Iterable[str] = ()) -> Folder:
    """The root of a listing.

    Args:
        pictures: names with forward slashes.
        folders: names of folders that are there whether or not they hold a picture.
    """
    root = Folder("", "")
    for path in folders:
        _reach(root, path)
    for name in sorted(pictures):
        path, _, _ = name.rpartition("/")
        _reach(root, path).files.append(name)
    return root


def _reach(root: Folder, path: str) -> Folder:
    here = root
    for part in path.split("/") if path else ():
        here = here.child(part)
    return here

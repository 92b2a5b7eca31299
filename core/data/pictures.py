"""What is known of a picture in a data set, beside its pixels."""

from dataclasses import dataclass

from core.records import Count, Size


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One picture that can be used."""

    name: str
    """As it came, for showing; never a path on this machine."""
    target: Count
    """Index into the data set's class names."""
    given: str | None
    """The split it was brought in, if any."""
    content: str
    """SHA-256 of the file's bytes."""
    group: str
    """SHA-256 of the decoded pixels: exact copies share it and stay on one side of a split."""
    place: tuple[Count, Size, Size]
    """Offset, height and width in the pixel file."""
    family: str = ""
    """Shared by near copies and photos of one burst, which stay on one side of a split; empty: only by exact copies."""
    size: tuple[Count, Count] = (0, 0)
    """Width and height as it came, upright; 0 where not known."""
    file_bytes: Count = 0
    """Size of the file; 0 where not known."""
    taken: str | None = None
    """When a camera says it took the photo (EXIF, as it is written there)."""
    batch: Count = 0
    """0 for the pictures a data set began with, one more for each time some were added."""
    notes: tuple[str, ...] = ()
    """What was done to make it usable: "turned upright", "transparency on white"."""
    subject: str = ""
    """Its group as a person gave it: the patient, place or thing it shows. Empty where none was given."""
    together: str = ""
    """Shared by all that stand with it because of their subject, or of copies in it; empty where no subject counts."""

    @property
    def kin(self) -> str:
        """Shared by copies, near copies and photos of one burst."""
        return self.family or self.group

    @property
    def side(self) -> str:
        """What decides on which side of a split it stands: pictures that share this are never parted."""
        return self.together or self.kin

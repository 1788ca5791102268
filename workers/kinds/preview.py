"""Preview: the beginning of an uploaded file, looked at by a limited process, for the page that maps its columns."""

from collections.abc import Mapping
from typing import Any

from meds3core.config.data_jobs import PreviewSpec
from webapp.uploads.importing import preview_store
from webapp.uploads.names import stem_of
from webapp.uploads.selectors import file_path
from workers import inputs, reading
from workers.context import JobContext


def run(context: JobContext) -> Mapping[str, Any]:
    """Look, and keep what was seen with the upload; the result holds no content."""
    spec: PreviewSpec = context.spec
    file = inputs.upload_file(spec.upload)
    found = reading.preview(
        file_path(file), stem=spec.source or stem_of(file.name), mapping=spec.mapping, cancel=context.cancel
    )
    preview_store(job_id=context.job_id, attempt=context.attempt, upload_id=file.upload_id, preview=found)
    return {"format": found.format, "tried": found.tried, "loaded": found.loaded}

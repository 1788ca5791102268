# One image for every process of MedS3 Studio: web, workers, sweep, prepare. docker-compose.yml says which is which.
#
# Without GPUs: docker build --build-arg TORCH_INDEX=<index of PyTorch's CPU builds> .
# On a network without a package index, put a wheelhouse into docker/wheels/ (docs/install.md).
FROM python:3.11-slim-trixie

ARG TORCH_INDEX=""
ARG EXTRAS=""

# postgresql-client: backups; it must not be older than the server (docker-compose.yml), or pg_dump refuses.
# The rest of what the processes need comes as wheels.
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql-client \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --uid 10001 --user-group --create-home studio \
    && install -d -o studio -g studio -m 0700 /data

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OMP_WAIT_POLICY=PASSIVE \
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \
    MEDS3_HOME=/data DJANGO_SETTINGS_MODULE=webapp.config.settings.production

WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY requirements requirements
COPY docker docker
RUN mkdir -p meds3core webapp workers && touch meds3core/__init__.py webapp/__init__.py workers/__init__.py \
    && if [ -d docker/wheels ]; then options="--no-index --find-links docker/wheels"; \
       elif [ -n "$TORCH_INDEX" ]; then pip install -c requirements/constraints.txt --index-url "$TORCH_INDEX" torch; fi \
    && pip install $options -c requirements/constraints.txt -e ".${EXTRAS:+[$EXTRAS]}"
COPY . .
RUN python -m compileall -q meds3core webapp workers

USER studio
EXPOSE 8000
CMD ["python", "-m", "uvicorn", "webapp.config.asgi:application", "--host", "0.0.0.0", "--port", "8000", \
     "--no-access-log", "--no-proxy-headers", "--log-config", "webapp/config/uvicorn_log.json"]

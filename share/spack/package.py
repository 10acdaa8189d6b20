# SPDX-License-Identifier: BSD-3-Clause
"""EBT for Spack. Without a place on the web that Spack could fetch it from, it takes the tarball that
`meson dist` makes (or `git archive --prefix=ebt-0.1.0/`), from the directory where spack is called:

    spack repo create ebt-repo && mkdir -p ebt-repo/packages/ebt
    cp share/spack/package.py ebt-repo/packages/ebt/ && spack repo add ebt-repo
    spack install --no-checksum ebt +archives ^mpich

From a checkout: `spack dev-build ebt@0.1.0`. Parsed, and its options tried with Meson, by a test; not
run with Spack.
"""
import os

from spack.package import *


class Ebt(MesonPackage):
    """Bulk transfer between a parallel file system and the nodes of a job: every input byte is read
    once and travels from node to node, every output is written by one node to targets of its own."""

    url = "file://{0}/ebt-0.1.0.tar.gz".format(os.getcwd())
    manual_download = True
    license("BSD-3-Clause")

    version("0.1.0")

    variant("archives", default=True, description="ebt-stage --unpack and ebt-drain --pack")
    variant("compress", default=True, description="lz4 and zstd on slow links")
    variant("tests", default=False, description="build the unit tests, and run them with --test")

    depends_on("c", type="build")
    depends_on("meson@1.0:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("mpi")
    depends_on("xxhash@0.8:")
    depends_on("lz4@1.9:", when="+compress")
    depends_on("zstd@1.4:", when="+compress")
    with when("+archives"):
        depends_on("libarchive@3.6: compression=bz2lib,lz4,lzma,zlib,zstd")
        depends_on("zlib-api")
        depends_on("bzip2")
        depends_on("xz")
        depends_on("lz4@1.9:")
        depends_on("zstd@1.4:")
    depends_on("cunit", type="build", when="+tests")

    def setup_build_environment(self, env):
        # A wrapper has header and library of one MPI, whichever that is.
        env.set("CC", self.spec["mpi"].mpicc)

    def meson_args(self):
        def option(name, wanted):
            return "-Dwith:{0}={1}".format(name, "enabled" if wanted else "disabled")

        archives = self.spec.satisfies("+archives")
        compress = archives or self.spec.satisfies("+compress")
        return (
            [option(name, archives) for name in ("libarchive", "zlib", "bzip2", "lzma")]
            + [option(name, compress) for name in ("lz4", "zstd")]
            + [option("tests", self.spec.satisfies("+tests")), option("bench", False)]
        )

    def check(self):
        # The other suites need a machine, as root, rather than a build directory.
        if self.spec.satisfies("+tests"):
            with working_dir(self.build_directory):
                meson("test", "--suite", "unit")

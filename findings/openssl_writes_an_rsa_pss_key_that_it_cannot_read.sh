#!/usr/bin/env bash
# OpenSSL 3.0.22 (Debian's package openssl 3.0.22-1~deb12u2 with libssl3 of the same version).
#
# Expected: `openssl rsa -traditional` writes a key that OpenSSL reads again, or says that the traditional form has no
# place for this kind of key.
# Seen: for an RSA-PSS key the command succeeds and writes a block "RSA-PSS PRIVATE KEY", which no standard names and which
# the same program refuses ("Could not read key"). What is inside is a plain RSAPrivateKey (RFC 8017 appendix A.1.2): under
# the label "RSA PRIVATE KEY" OpenSSL reads it, as a key without the restriction to PSS. So a conversion that reports
# success loses both: the readable file, if it was written in the original's place, and the restriction.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
version=3.0.22-1~deb12u2
apt-get download -qq "openssl=$version" "libssl3=$version" 2>/dev/null
for package in *.deb; do
    dpkg-deb -x "$package" .
done
library=$(dirname "$(find "$folder" -name libssl.so.3)")
openssl() {
    LD_LIBRARY_PATH="$library" OPENSSL_MODULES="$library/ossl-modules" OPENSSL_CONF=/dev/null "$folder/usr/bin/openssl" "$@"
}
{
    openssl version | cut -d' ' -f1,2
    openssl genpkey -quiet -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out pss.pem
    openssl rsa -in pss.pem -traditional -out traditional.pem 2>/dev/null && echo "written"
    head -1 traditional.pem
    openssl pkey -in traditional.pem -noout 2>/dev/null && echo "read" || echo "not read"
    sed s/RSA-PSS/RSA/ traditional.pem > relabelled.pem
    openssl pkey -in relabelled.pem -noout && echo "read under the label RSA"
    openssl pkey -in relabelled.pem -out pkcs8.pem
    openssl asn1parse -in pkcs8.pem | grep -o 'rsaEncryption\|rsassaPss'
} | tee seen
diff seen - <<'SEEN'
OpenSSL 3.0.22
written
-----BEGIN RSA-PSS PRIVATE KEY-----
not read
read under the label RSA
rsaEncryption
SEEN
echo "as stated: OpenSSL 3.0.22 writes an RSA-PSS key in a form that it does not read"

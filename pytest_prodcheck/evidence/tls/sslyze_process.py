"""The process in which sslyze runs: reads requests on stdin, writes answers on stdout, a JSON document a line.

A process of its own because sslyze's C code may crash or hang on what servers send, and because its licence (AGPL-3)
is not ours. Run as a file, it imports nothing of prodcheck. It ends when stdin does.

Where sslyze takes silence for a refusal, this does not: a server that stops answering is told as such. Suites and
curves are offered in bunches first, and sslyze's own test of one is run only for bunches that the server took.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

AT_ONCE = 16  # servers
CONNECTIONS = 4  # at once to one server
# suites in one hello: few where most are refused; below 256 bytes, for what some load balancers do to longer ones
BUNCH, BUNCH_OF_1_2 = 40, 10
BUNCH_OF_CURVES = 10
SILENCE = 0.9  # of the time-out: what failed after longer was no answer
VERSIONS = {
    "SSLv2": "ssl_2_0_cipher_suites", "SSLv3": "ssl_3_0_cipher_suites", "TLSv1.0": "tls_1_0_cipher_suites",
    "TLSv1.1": "tls_1_1_cipher_suites", "TLSv1.2": "tls_1_2_cipher_suites", "TLSv1.3": "tls_1_3_cipher_suites",
}  # fmt: skip
ATTACKS = (
    "heartbleed", "openssl_ccs_injection", "robot", "tls_compression", "session_renegotiation", "tls_fallback_scsv",
)  # fmt: skip
DROPPED = (  # of sslyze.connection_helpers.tls_connection: ends without a word of TLS
    "Server rejected the connection", "Server closed the connection during the TLS handshake",
    "Server interrupted the TLS handshake",
)  # fmt: skip


class ScanError(Exception):
    """Why a server could not be scanned, with the kind of problem."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Server:
    """One server: what it was found to be, each part once however often it is asked for."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._request = request
        self._lock = threading.Lock()
        self._parts: dict[str, Any] = {}
        self._info: Any = None
        self._met = 0  # connections so far
        self._silences = 0

    def part(self, name: str) -> dict[str, Any]:
        """"suites", "attacks" or "profile:NAME" as plain data, and since when it is known; raises ScanError."""
        with self._lock:
            kept = self._part(name)
        return {key: value for key, value in kept.items() if not key.startswith("_")}

    def _part(self, name: str) -> dict[str, Any]:
        if name not in self._parts:
            began = time.time()
            try:
                self._parts[name] = {"began": began, **self._find_out(name)}
            except ScanError as error:
                self._parts[name] = error
        found = self._parts[name]
        if isinstance(found, ScanError):
            raise found
        return dict(found)

    def _find_out(self, name: str) -> dict[str, Any]:
        if self._info is None:
            self._info = self._test_connectivity()
        kind, _, profile = name.partition(":")
        if kind == "suites":
            found = self._suites()
        elif kind == "attacks":
            found = self._attacks()
        else:
            found = self._profile(profile)
        self._require_handshake("after the scan")
        return found

    # -- meeting

    def _test_connectivity(self) -> Any:
        from pathlib import Path

        from sslyze import ClientAuthenticationCredentials, ProtocolWithOpportunisticTlsEnum
        from sslyze.errors import ConnectionToServerFailed, ServerTlsConfigurationNotSupported, TlsHandshakeFailed
        from sslyze.server_connectivity import ServerConnectivityInfo, check_connectivity_to_server
        from sslyze.server_setting import ServerNetworkConfiguration, ServerNetworkLocation

        asked = self._request
        credentials = None
        try:
            if asked["certificate"]:
                files = Path(asked["certificate"]), Path(asked["key"] or asked["certificate"])
                credentials = ClientAuthenticationCredentials(*files)
            protocol = str(asked["starttls"] or "").upper().replace("-", "_")
            starttls = ProtocolWithOpportunisticTlsEnum[protocol] if protocol else None
            location = ServerNetworkLocation(asked["name"], asked["port"], ip_address=asked["ip"])
            network = ServerNetworkConfiguration(
                asked["name"], starttls, credentials, network_timeout=asked["timeout"], network_max_retries=1
            )
        except (ValueError, KeyError) as error:
            raise ScanError("configuration", f"cannot be scanned so ({error})") from None
        try:
            most = 3 * asked["timeout"] + 1
            probed = call_with_timeout(lambda: check_connectivity_to_server(location, network), most)
        except TimeoutError:
            raise ScanError("timeout", "no TLS handshake came to its end in time") from None
        except ServerTlsConfigurationNotSupported as error:
            raise ScanError("tls", f"no handshake succeeds ({error.error_message})") from None
        except TlsHandshakeFailed as error:
            raise ScanError("tls", error.error_message) from None
        except ConnectionToServerFailed as error:
            kind = "timeout" if "timed out" in error.error_message else "refused"
            raise ScanError(kind, error.error_message) from None
        return ServerConnectivityInfo(location, network, probed)

    def _require_handshake(self, when: str) -> None:
        """The positive control: refusals count only while the server still takes the handshake that it took first."""
        connection = self._info.get_preconfigured_tls_connection()
        try:
            connection.connect()
        except Exception as error:
            if type(error).__name__ == "ClientCertificateRequested":
                return
            said = getattr(error, "error_message", None) or f"{type(error).__name__}: {error}"
            what = f"stopped answering, {self._met} connections were made until then"
            raise ScanError("timeout", f"half scanned: {when} it {what} ({said})") from None
        finally:
            connection.close()

    def _run_job(self, job: Any) -> tuple[Any, Exception | None, bool]:
        """What one of sslyze's jobs returns or raises, and whether it met silence."""
        began = time.monotonic()
        self._met += 1
        value: Any = None
        raised: Exception | None = None
        try:
            value = job.function_to_call(*job.function_arguments)
        except Exception as error:  # sslyze's own and OpenSSL's
            raised = error
        silent = time.monotonic() - began >= SILENCE * self._request["timeout"]
        if silent:
            self._silences += 1
            if self._silences in (2, 8, 32):
                self._require_handshake(f"after {self._silences} hellos without an answer")
        return value, raised, silent

    def _jobs(self, command: str) -> tuple[Any, list[Any]]:
        from sslyze.plugins.scan_commands import ScanCommand, ScanCommandsRepository

        plugin = ScanCommandsRepository.get_implementation_cls(ScanCommand(command))
        return plugin, plugin.scan_jobs_for_scan_command(self._info, None)

    # -- suites

    def _suites(self) -> dict[str, Any]:
        versions: dict[str, list[Any]] = {}
        silent = []
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for version, command in VERSIONS.items():
                jobs = self._jobs(command)[1]
                bunches = list(_suite_batches(version, jobs))
                taken = list(pool.map(lambda each: self._offer(*each), bunches))
                again = [each for each, answer in zip(bunches, taken, strict=True) if answer == "dropped"]
                taken += pool.map(lambda each: self._offer(*each), again)  # a limiter drops now this, now that
                if taken.count("silent") and set(taken) <= {"silent", "dropped"}:
                    silent.append(version)
                    continue
                if "silent" in taken:
                    raise ScanError("timeout", f"half scanned: answered some hellos of {version} and others not at all")
                tried = [each for each, answer in zip([*bunches, *again], taken, strict=True) if answer == "taken"]
                versions[version] = self._accepted(pool, {id(job): job for _, _, some in tried for job in some})
        first = self._info.tls_probing_result.cipher_suite_supported
        self._require_handshake("after the suites")
        if first not in [each.cipher_suite.openssl_name for some in versions.values() for each in some]:
            raise ScanError("protocol", f"half scanned: it took {first} at first, and not again")
        told = {name: [_plain_suite(each) for each in found] for name, found in versions.items() if found}
        return {"versions": told, "silent": silent, "_versions": versions}

    def _offer(self, version: str, legacy: bool, jobs: list[Any]) -> str:
        """What the server says to a hello with all suites of a bunch: "taken", "refused", "dropped" or "silent"."""
        from sslyze.errors import ServerRejectedTlsHandshake

        def hello() -> None:
            connection = self._info.get_preconfigured_tls_connection(
                override_tls_version=jobs[0].function_arguments[1], should_use_legacy_openssl=legacy
            )
            names = ":".join(job.function_arguments[2].openssl_name for job in jobs)
            if version == "TLSv1.3":
                connection.ssl_client.set_ciphersuites(names)
            else:
                connection.ssl_client.set_cipher_list(names)
            try:
                connection.connect()
            finally:
                connection.close()

        _, raised, silent = self._run_job(SimpleNamespace(function_to_call=hello, function_arguments=()))
        if raised is None:
            return "taken"
        if isinstance(raised, ServerRejectedTlsHandshake) and raised.error_message not in DROPPED:
            return "refused"
        if silent:
            return "silent"
        # whatever else it was: sslyze's own tests of each suite find out
        return "dropped" if isinstance(raised, ServerRejectedTlsHandshake) else "taken"

    def _accepted(self, pool: ThreadPoolExecutor, jobs: dict[int, Any]) -> list[Any]:
        found = []
        for value, raised, _ in pool.map(self._run_job, jobs.values()):
            if type(raised).__name__ == "NoCiphersAvailableBugInSSlyze":
                continue  # sslyze's OpenSSL does not have it at this version
            if raised is not None:
                said = getattr(raised, "error_message", None) or f"{type(raised).__name__}: {raised}"
                raise ScanError("protocol", f"half scanned: a suite could not be tried ({said})")
            if "timed out" in getattr(value, "error_message", ""):
                raise ScanError("timeout", f"half scanned: no answer to {value.cipher_suite.name}, though to others")
            if hasattr(value, "ephemeral_key"):
                found.append(value)
        return sorted(found, key=lambda each: str(each.cipher_suite.name))

    # -- attacks

    def _attacks(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        results = {}
        for command in ATTACKS:
            plugin, jobs = self._jobs(command)
            for last in (False, True):
                ran = [self._run_job(job) for job in jobs]
                results[command], told = _attack(plugin, self._info, ran)
                if last or told.get("result") != "UNKNOWN_INCONSISTENT_RESULTS":
                    break
            found[command] = told
        return {"attacks": found, "_results": results}

    # -- profile

    def _profile(self, name: str) -> dict[str, Any]:
        from sslyze import ServerScanStatusEnum
        from sslyze.mozilla_tls_profile import tls_config_checker as checker

        suites, attacks = self._part("suites"), self._part("attacks")
        results: dict[str, Any] = dict(attacks["_results"])
        for version, command in VERSIONS.items():
            some = suites["_versions"].get(version, [])
            results[command] = SimpleNamespace(is_tls_version_supported=bool(some), accepted_cipher_suites=some)
        plugin, jobs = self._jobs("elliptic_curves")
        results["elliptic_curves"] = _attack(plugin, self._info, self._curves(jobs))[0]
        plugin, jobs = self._jobs("tls_extended_master_secret")
        results["tls_extended_master_secret"] = _attack(plugin, self._info, [self._run_job(job) for job in jobs])[0]
        results["certificate_info"] = self._certificates()
        if missing := sorted(name for name, result in results.items() if result is None):
            raise ScanError("protocol", f"half scanned: the profile needs {', '.join(missing)}, which gave no result")
        attempts = {
            command: SimpleNamespace(status=checker.ScanCommandAttemptStatusEnum.COMPLETED, result=result)
            for command, result in results.items()
        }
        scan = SimpleNamespace(scan_status=ServerScanStatusEnum.COMPLETED, scan_result=SimpleNamespace(**attempts))
        wanted = checker.MozillaTlsConfiguration.get(checker.TlsConfigurationEnum(name))
        deviations: dict[str, str] = {}
        try:
            checker.check_server_against_tls_configuration(scan, wanted)
        except checker.ServerNotCompliantWithTlsConfiguration as error:
            deviations = error.issues
        version = checker.MozillaTlsConfiguration._JSON_PROFILE_PATH.stem
        return {"began": min(suites["began"], attacks["began"]), "deviations": deviations, "version": version}

    def _curves(self, jobs: list[Any]) -> list[tuple[Any, Exception | None, bool]]:
        """What sslyze's own test of each curve returns, without trying each of those that are refused together."""
        if len(jobs) == 1:  # no key exchange with curves
            return [self._run_job(job) for job in jobs]
        left = {job.function_arguments[1]: job for job in jobs}
        ran: list[tuple[Any, Exception | None, bool]] = []
        for curves in [list(left)[start : start + BUNCH_OF_CURVES] for start in range(0, len(left), BUNCH_OF_CURVES)]:
            while curves:
                answer = self._offer_curves(curves)
                if answer == "refused":
                    ran += [(_refused_curve(each), None, False) for each in curves]
                    break
                alone = [answer] if answer in curves else curves
                ran += [self._run_job(left[each]) for each in alone]
                curves = [each for each in curves if each not in alone]
        return ran

    def _offer_curves(self, curves: list[Any]) -> Any:
        """The one that the server takes of these curves; "refused", or "" for any other answer."""
        from sslyze.errors import ServerRejectedTlsHandshake
        from sslyze.server_connectivity import enable_ecdh_cipher_suites

        version = self._info.tls_probing_result.highest_tls_version_supported

        def hello() -> Any:
            connection = self._info.get_preconfigured_tls_connection(
                override_tls_version=version, should_use_legacy_openssl=False
            )
            enable_ecdh_cipher_suites(version, connection.ssl_client)
            connection.ssl_client.set_groups(curves)
            try:
                connection.connect()
                return getattr(connection.ssl_client.get_ephemeral_key(), "curve", "")
            finally:
                connection.close()

        taken, raised, _ = self._run_job(SimpleNamespace(function_to_call=hello, function_arguments=()))
        if isinstance(raised, ServerRejectedTlsHandshake) and raised.error_message not in DROPPED:
            return "refused"
        return "" if raised else taken

    def _certificates(self) -> Any:
        """The certificates for the profile; whether they are trusted is found out elsewhere, and not here."""
        from cryptography.x509 import load_pem_x509_certificate

        ran = [self._run_job(job)[0] for job in self._jobs("certificate_info")[1]]
        own = [load_pem_x509_certificate(value[0][0].encode()) for value in ran if value is not None and value[0]]
        chains = [{"received_certificate_chain": [each], "verified_certificate_chain": [each]} for each in own]
        return SimpleNamespace(certificate_deployments=[SimpleNamespace(**each) for each in chains]) if own else None


def call_with_timeout(act: Any, seconds: float) -> Any:
    """What `act` returns or raises; TimeoutError where it takes longer, and then it is left behind."""
    box: list[Any] = []

    def run() -> None:
        try:
            box.append((act(), None))
        except Exception as error:  # handed over
            box.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not box:
        raise TimeoutError
    value, raised = box[0]
    if raised is not None:
        raise raised
    return value


def _suite_batches(version: str, jobs: list[Any]) -> Any:
    """(version, whether sslyze's old OpenSSL has to be used, jobs) for suites that can be offered together."""
    old = _old_suites() if version == "TLSv1.2" else set()
    for legacy in (True, False):
        some = [
            job for job in jobs
            if legacy == (version not in ("TLSv1.2", "TLSv1.3") or job.function_arguments[2].openssl_name in old)
        ]  # fmt: skip
        some.sort(key=lambda job: _suite_order(job.function_arguments[2].openssl_name))
        size = BUNCH_OF_1_2 if version == "TLSv1.2" else BUNCH
        for start in range(0, len(some), size):
            yield version, legacy, some[start : start + size]


def _suite_order(name: str) -> tuple[bool, bool, bool, str]:
    """Puts together what servers of today take, so that few bunches are taken."""
    return "ECDHE" not in name, "GCM" not in name and "CHACHA" not in name, "RSA" not in name, name


def _refused_curve(curve: Any) -> Any:
    """What sslyze's own test of a curve returns for one that the server does not take."""
    told = SimpleNamespace(name=curve.name, openssl_nid=curve.value)
    return SimpleNamespace(curve=told, was_accepted_by_server=False)


_OLD: set[str] = set()


def _old_suites() -> set[str]:
    """What sslyze's old OpenSSL offers with TLS 1.2, as sslyze itself asks for each suite anew."""
    if not _OLD:
        from nassl.legacy_ssl_client import LegacySslClient
        from nassl.ssl_client import OpenSslVerifyEnum, OpenSslVersionEnum

        client = LegacySslClient(ssl_version=OpenSslVersionEnum.TLSV1_2, ssl_verify=OpenSslVerifyEnum.NONE)
        client.set_cipher_list("ALL:COMPLEMENTOFALL")
        _OLD.update(client.get_cipher_list())
    return _OLD


def _plain_suite(accepted: Any) -> dict[str, Any]:
    suite, key = accepted.cipher_suite, accepted.ephemeral_key
    return {
        "name": suite.name, "bits": suite.key_size, "anonymous": suite.is_anonymous,
        "exchange": key.type_name if key else "", "exchange_bits": key.size if key else 0,
    }  # fmt: skip


def _attack(plugin: Any, info: Any, ran: list[tuple[Any, Exception | None, bool]]) -> tuple[Any, dict[str, Any]]:
    """The result as sslyze has it (None where it has none) and the same as plain data."""
    from sslyze.plugins.plugin_base import ScanJobResult

    jobs = [ScanJobResult(_return_value=value, _exception=raised) for value, raised, _ in ran]
    try:
        result = plugin.result_for_completed_scan_jobs(info, jobs)
    except Exception as error:
        said = getattr(error, "error_message", None) or f"{type(error).__name__}: {error}"
        if type(error).__name__ == "ClientCertificateRequested":
            said = "it asks for a client certificate: declare `certificate` and `key`"
        return None, {"problem": str(said)[:300]}
    plain = {key: getattr(value, "value", value) for key, value in vars(result).items()}
    if "robot_result" in plain:
        plain = {"result": str(result.robot_result.name)}
    return result, {key: value for key, value in plain.items() if isinstance(value, (bool, int, str))}


def main() -> None:
    """Answers requests until stdin ends."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    writing = threading.Lock()
    servers: dict[str, Server] = {}
    waiting = threading.Semaphore(AT_ONCE * 3)

    def say(answer: dict[str, Any]) -> None:
        with writing:
            out.write(json.dumps(answer) + "\n")
            out.flush()

    def serve(request: dict[str, Any], server: Server) -> None:
        with waiting:
            try:
                say({"id": request["id"], "found": server.part(request["part"])})
            except ScanError as error:
                say({"id": request["id"], "kind": error.kind, "problem": str(error)[:500]})
            except Exception as error:
                say({"id": request["id"], "kind": "internal", "problem": f"{type(error).__name__}: {error}"[:500]})

    try:
        import sslyze  # noqa: F401
    except ImportError as error:
        say({"missing": str(error)})
        return
    for line in sys.stdin:
        request = json.loads(line)
        server = servers.setdefault(request["server"], Server(request))
        threading.Thread(target=serve, args=(request, server), daemon=True).start()
    os._exit(0)


if __name__ == "__main__":
    main()

<?php
// What `artisan config:cache` writes of the folder config.
$storage = dirname(__DIR__, 2) . '/storage/framework';
return [
    'app' => [
        'name' => 'Shop', 'env' => 'production', 'debug' => false, 'url' => 'http://localhost', 'timezone' => 'UTC',
        'locale' => 'en', 'fallback_locale' => 'en', 'key' => str_repeat('k', 32), 'cipher' => 'AES-256-CBC',
        'aliases' => [],
        'providers' => [
            Illuminate\Cookie\CookieServiceProvider::class, Illuminate\Encryption\EncryptionServiceProvider::class,
            Illuminate\Filesystem\FilesystemServiceProvider::class, Illuminate\Session\SessionServiceProvider::class,
            Illuminate\Foundation\Providers\FoundationServiceProvider::class, Illuminate\View\ViewServiceProvider::class,
            Illuminate\Translation\TranslationServiceProvider::class,
        ],
    ],
    'logging' => ['default' => 'errorlog', 'channels' => ['errorlog' => ['driver' => 'errorlog']]],
    'session' => [
        'driver' => 'file', 'files' => "$storage/sessions", 'lifetime' => 120, 'expire_on_close' => false,
        'encrypt' => false, 'cookie' => 'laravel_session', 'path' => '/', 'domain' => null, 'secure' => null,
        'http_only' => true, 'same_site' => 'lax', 'lottery' => [0, 100], 'connection' => null, 'store' => null,
    ],
    'view' => ['paths' => [], 'compiled' => "$storage/views"],
];

<?php
// A Laravel application in one file: the framework's own sessions, encrypted cookies and CSRF middleware.
spl_autoload_register(function ($class) {
    $file = '/usr/share/php/' . str_replace('\\', '/', $class) . '.php';
    if (is_file($file)) {
        require $file;
    }
});
require '/usr/share/php/Illuminate/autoload.php';
require '/usr/share/php/Illuminate/Foundation/helpers.php';

use Illuminate\Support\Facades\Route;

class Kernel extends Illuminate\Foundation\Http\Kernel
{
    protected $middlewareGroups = ['web' => [
        Illuminate\Cookie\Middleware\EncryptCookies::class,
        Illuminate\Cookie\Middleware\AddQueuedCookiesToResponse::class,
        Illuminate\Session\Middleware\StartSession::class,
        Illuminate\Foundation\Http\Middleware\VerifyCsrfToken::class,
    ]];
}

$app = new Illuminate\Foundation\Application(__DIR__);
$app->singleton(Illuminate\Contracts\Http\Kernel::class, Kernel::class);
$app->singleton(Illuminate\Contracts\Debug\ExceptionHandler::class, Illuminate\Foundation\Exceptions\Handler::class);
$app->booted(fn () => Route::middleware('web')->group(function () {
    $for = fn ($admin) => function () use ($admin) {
        $user = session('user');
        return !$user ? redirect('/login') : ($admin && $user !== 'admin' ? response('', 403) : response()->json([]));
    };
    Route::get('/login', fn () => '<meta name="csrf-token" content="' . csrf_token() . '"><form method="post" action="/login">'
        . csrf_field() . '<input name="username"><input type="password" name="password"><button>Log in</button></form>');
    Route::post('/login', function () {
        if (request('password') !== 'right-one') {
            return redirect('/login');
        }
        session()->regenerate();
        session(['user' => request('username')]);
        return redirect('/account');
    });
    Route::post('/logout', function () {
        session()->invalidate();
        session()->regenerateToken();
        return redirect('/login');
    });
    Route::get('/account', $for(false));
    Route::get('/report', $for(true));
    Route::post('/price', $for(true));
    Route::post('/free', fn () => response()->json([]));
}));
$kernel = $app->make(Illuminate\Contracts\Http\Kernel::class);
$response = $kernel->handle($request = Illuminate\Http\Request::capture());
$response->send();
$kernel->terminate($request, $response);
